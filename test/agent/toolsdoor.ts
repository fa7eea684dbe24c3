/** A small tools door for the tests of the agent: real MCP over HTTP, a shell that does what the test says. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

export type Shell = (
  command: string,
  call: { signal: AbortSignal; progress: (message: string) => Promise<void> },
) => Promise<string>;

export type ToolsDoor = { url: string; calls: string[]; close(): Promise<void> };

export async function openToolsDoor(shell: Shell): Promise<ToolsDoor> {
  const calls: string[] = [];
  const handler = createMcpHandler(() => {
    const server = new McpServer({ name: 'tools', version: '1' });
    server.registerTool(
      'shell',
      { description: 'Runs a command.', inputSchema: z.object({ command: z.string() }) },
      async ({ command }, ctx) => {
        calls.push(command);
        const token = ctx.mcpReq._meta?.progressToken;
        let step = 0;
        const progress = async (message: string): Promise<void> => {
          if (token === undefined) return;
          step += 1;
          await ctx.mcpReq.notify({
            method: 'notifications/progress',
            params: { progressToken: token, progress: step, message },
          });
        };
        const text = await shell(command, { signal: ctx.mcpReq.signal, progress });
        return { content: [{ type: 'text', text }] };
      },
    );
    return server;
  });
  const answer = toNodeHandler(handler);
  const server = createServer((req, res) => {
    answer(Object.assign(req, { method: req.method ?? '', url: req.url ?? '' }), res).catch(() =>
      res.destroy(),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    calls,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
