/** `npm run provider`: the practice provider on loopback, for a newcomer who has no model at hand. */
import { parseArgs } from 'node:util';
import { createProvider, misbehaviours } from './provider.ts';

const usage = `Usage: npm run provider -- [--port 11500] [--require-key KEY]

Starts a practice model on 127.0.0.1. It speaks the OpenAI, Anthropic, Gemini and Ollama APIs, answers by echo, and
calls the shell tool when a message says "run: COMMAND". With --require-key it answers 401 to any other key.`;

const options = {
  port: { type: 'string', default: '11500' },
  'require-key': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(64); // EX_USAGE
}

function readFlags() {
  try {
    return parseArgs({ options, strict: true }).values;
  } catch (error) {
    return fail(`${(error as Error).message}\n\n${usage}`);
  }
}

const flags = readFlags();
if (flags.help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}
const port = Number(flags.port);
if (!Number.isInteger(port) || port < 0 || port > 65535) fail(`--port: not a port: ${flags.port}`);

const key = flags['require-key'];
const provider = await createProvider({ port, ...(key === undefined ? {} : { requireKey: key }) }).catch(
  (error: NodeJS.ErrnoException) =>
    fail(
      error.code === 'EADDRINUSE'
        ? `Port ${port} is taken. Choose another: npm run provider -- --port ${port + 1}`
        : `Could not listen on port ${port}: ${error.message}`,
    ),
);

process.stdout.write(`The practice provider listens on ${provider.url} (Ctrl-C ends it).

Put this into holdfast.yaml, then run \`npm run -s holdfast -- config apply\` or start again:

providers:
  practice:
    kind: ollama
    baseUrl: ${provider.url}${key === undefined ? '' : '\n    key: practice   # and the key itself in secrets/llm/practice'}
agents:
  main:
    model: { provider: practice, name: practice }

It answers "You said: ..."; write "run: uname -a" to see a tool call that waits for your yes.
Bad days on request, by the model's name: ${misbehaviours.map((how) => `practice-${how}`).join(', ')}.
`);
