/** The tools of one turn, listed and called through the tools door by MCP. The turn opens it at its start and closes it at its end. */
import type { Client } from '@modelcontextprotocol/client';
import { plain } from './failure.ts';
import type { Tool } from './model.ts';

export type Tools = {
  list: Tool[];
  /** Why there are none, for the model and the operator. */
  missing?: string;
  /** Always gives text for the model: a refusal and a fault of a tool are answers, not ends. Throws on abort only. */
  call(name: string, json: string, signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
};

const connectMs = 5_000; // the door is on loopback: silence this long means that nobody serves it
const quietMs = 60_000; // the door sends progress every 10 s while an approval waits or a command runs
const longestMs = 24 * 60 * 60 * 1000; // how long an approval may wait is the door's to say, not ours
const maxResultChars = 64 * 1024;

export async function openTools(url: string, signal: AbortSignal): Promise<Tools> {
  let client: Client;
  try {
    // Imported late: it doubles the memory of an agent that nobody has spoken to yet.
    const mcp = await import('@modelcontextprotocol/client');
    client = new mcp.Client(
      { name: 'holdfast-agent', version: '1' },
      { versionNegotiation: { mode: 'auto', probe: { timeoutMs: connectMs } } },
    );
    const transport = new mcp.StreamableHTTPClientTransport(new URL(url), {
      // A call that was cut is not called again: nobody knows whether it ran.
      reconnectionOptions: {
        maxRetries: 0,
        initialReconnectionDelay: 1000,
        maxReconnectionDelay: 1000,
        reconnectionDelayGrowFactor: 1,
      },
    });
    await client.connect(transport, { timeout: connectMs, signal });
  } catch (error) {
    signal.throwIfAborted();
    return none(`the tools door does not answer (${plain(error)})`);
  }
  const close = (): Promise<void> => client.close().catch(() => {}); // the session ends on the door's side too
  try {
    const { tools } = await client.listTools(undefined, { timeout: connectMs, signal });
    return {
      list: tools.map((tool) => ({
        type: 'function',
        function: {
          name: tool.name,
          description: tool.description ?? '',
          parameters: tool.inputSchema as Record<string, unknown>,
        },
      })),
      call: (name, json, aborted) => call(client, name, json, aborted),
      close,
    };
  } catch (error) {
    await close();
    signal.throwIfAborted();
    return none(`the tools door does not list its tools (${plain(error)})`);
  }
}

const none = (missing: string): Tools => ({
  list: [],
  missing,
  call: async () => `This tool cannot be called: ${missing}.`,
  close: async () => {},
});

async function call(client: Client, name: string, json: string, signal: AbortSignal): Promise<string> {
  let args: unknown;
  try {
    args = JSON.parse(json === '' ? '{}' : json);
  } catch {
    return 'The call was not made: its arguments are not JSON.';
  }
  if (typeof args !== 'object' || args === null || Array.isArray(args)) {
    return 'The call was not made: its arguments are not a JSON object.';
  }
  try {
    const result = await client.callTool(
      { name, arguments: args as Record<string, unknown> },
      {
        signal,
        timeout: quietMs,
        maxTotalTimeout: longestMs,
        resetTimeoutOnProgress: true,
        onprogress: () => {}, // asks for the progress that keeps the call alive
      },
    );
    const text = result.content
      .map((part) => (part.type === 'text' ? part.text : `[${part.type}]`))
      .join('\n');
    return `${result.isError ? 'The tool answered with an error:\n' : ''}${cut(text)}`;
  } catch (error) {
    signal.throwIfAborted();
    return `The call failed: ${plain(error)}`;
  }
}

const cut = (text: string): string =>
  text.length <= maxResultChars
    ? text
    : `${text.slice(0, maxResultChars)}\n[cut: ${text.length - maxResultChars} characters more]`;
