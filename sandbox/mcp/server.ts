/** The two tools as MCP speaks of them, for both eras. door.ts makes one server for each session (older) or request (newer). */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Caller, Calls, Result } from './calls.ts';

const shellInput = z.strictObject({
  command: z
    .string()
    .min(1)
    .describe('A script for bash. Pipes, several lines and here-documents are fine; stdin is empty.'),
  timeoutSeconds: z
    .number()
    .int()
    .min(1)
    .max(3600)
    .optional()
    .describe('It is stopped after this long. The owner’s limit holds where it is shorter.'),
});

const approvalResultInput = z.strictObject({
  id: z.string().min(1).max(64).describe('The id from "waiting for approval ...".'),
});

const description = `Runs a script in a fresh container and returns its output and exit code.
The working folder /workspace is kept between calls; everything else is gone afterwards. There is no network.
A person has to approve each call first, so prefer one script that does a step completely over many small ones.`;

export function createMcpServer(calls: Calls): McpServer {
  const server = new McpServer({ name: 'holdfast-tools', title: 'Holdfast tools', version: '1' });
  server.registerTool(
    'shell',
    { title: 'Shell', description, inputSchema: shellInput },
    async (args, context) => toolResult(await calls.shell(args, callerOf(context))),
  );
  server.registerTool(
    'approval_result',
    {
      title: 'Result of a call that waited for approval',
      description:
        'Waits for the answer to a shell call that is still waiting, runs it when approved, returns its result.',
      inputSchema: approvalResultInput,
    },
    async ({ id }, context) => toolResult(await calls.approvalResult(id, callerOf(context))),
  );
  return server;
}

const toolResult = ({ text, isError }: Result) => ({ content: [{ type: 'text' as const, text }], isError });

function callerOf({ mcpReq, http, sessionId }: ServerContext): Caller {
  const token = mcpReq._meta?.progressToken;
  let progress = 0;
  // Two ways to go: the protocol's cancel, and the connection that carries the answer.
  const signals = [mcpReq.signal, ...(http?.req ? [http.req.signal] : [])];
  return {
    signal: AbortSignal.any(signals),
    session: sessionId,
    progress:
      token === undefined
        ? undefined
        : (message) => {
            progress += 1;
            const params = { progressToken: token, progress, message };
            // Whoever cannot be told any more is noticed by the signal.
            mcpReq.notify({ method: 'notifications/progress', params }).catch(() => {});
          },
  };
}
