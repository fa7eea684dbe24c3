/** `npm run provider` as a newcomer meets it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import { parse } from 'yaml';

const serve = (...flags: string[]) =>
  spawn(process.execPath, [new URL('serve.ts', import.meta.url).pathname, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });

test('it says what to put into holdfast.yaml, and that works', async (t) => {
  const child = serve('--port', '0');
  t.after(() => child.kill());
  const [said] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  const yaml = said.slice(said.indexOf('providers:'), said.indexOf('\n\nIt answers'));
  const config = parse(yaml) as {
    providers: { practice: { kind: string; baseUrl: string } };
    agents: { main: { model: { name: string } } };
  };
  assert.equal(config.providers.practice.kind, 'ollama');
  const client = new Ollama({ host: config.providers.practice.baseUrl });
  const model = config.agents.main.model.name;
  const answer = await client.chat({ model, messages: [{ role: 'user', content: 'hello' }] });
  assert.equal(answer.message.content, 'You said: hello');
});

test('a taken port is named, with the way out', async (t) => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  t.after(() => holder.close());
  const { port } = holder.address() as { port: number };
  const child = serve('--port', String(port));
  const [said] = (await once(child.stderr.setEncoding('utf8'), 'data')) as [string];
  assert.match(said, new RegExp(`Port ${port} is taken.*--port ${port + 1}`));
  await once(child, 'exit');
  assert.equal(child.exitCode, 64);
});

test('a flag that it does not know is refused with the usage', async () => {
  const child = serve('--prot', '1');
  const [said] = (await once(child.stderr.setEncoding('utf8'), 'data')) as [string];
  assert.match(said, /--prot.*Usage:/s);
  await once(child, 'close');
});
