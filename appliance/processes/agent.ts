/** The built-in guest: the small agent that a world runs when nothing else is named. It is a guest, so it does not attend: all that it knows is its environment. */
import { createAgent } from '../agent/server.ts';

const env = process.env;
const port = Number(env.PORT ?? '18789');

const server = createAgent({
  agent: env.HOLDFAST_AGENT ?? 'main',
  instructions: env.HOLDFAST_INSTRUCTIONS ?? '',
  model: {
    baseUrl: (env.OPENAI_BASE_URL ?? 'http://127.0.0.1:9090/v1').replace(/\/+$/, ''),
    key: env.OPENAI_API_KEY ?? 'placeholder',
    name: env.HOLDFAST_MODEL ?? '',
  },
  toolsUrl: env.HOLDFAST_TOOLS_URL ?? 'http://127.0.0.1:9091/mcp',
});

server.on('error', (error) => {
  process.stderr.write(`the agent cannot listen on 127.0.0.1:${port}: ${error.message}\n`);
  process.exit(1);
});
server.listen(port, '127.0.0.1', () => process.stdout.write(`answers on 127.0.0.1:${port}\n`));
