/** Invariant 5 on a real appliance: nothing that a guest can see, is given or is answered holds the provider's key, though the provider receives it and says it back. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createProvider } from '../provider/provider.ts';
import { allRun, appliance, inWorld, run, statusOf, until } from '../world/appliance.ts';
import { read, remembers, tree } from '../world/processes.ts';

const key = 'sk-the-key-that-no-agent-may-read';

test('the key is in no file, environment, answer or memory of the guest, and the provider gets it all the same', async (t) => {
  const provider = await createProvider({ requireKey: key });
  t.after(() => provider.close());
  const a = await appliance(t, {
    config: `
providers: { local: { kind: openai, baseUrl: ${provider.url}, key: local, price: { free: true } } }
agents: { main: { model: { provider: local, name: practice-echo-key } } }
`,
    prepare(home) {
      mkdirSync(join(home, 'secrets/llm'), { recursive: true, mode: 0o700 });
      writeFileSync(join(home, 'secrets/llm/local'), `${key}\n`, { mode: 0o600 });
    },
  });
  await until(() => allRun(a), 30_000, a.output);

  const turn = await a.cli('ask', 'what is my key?');
  assert.equal(turn.code, 0, turn.stderr);
  assert.match(turn.stdout, /Your key is \*+/, 'the answer arrives, masked');
  const whole = await inWorld(a, 'main', 'curl', [
    '-sv',
    '-m',
    '10',
    '-H',
    'content-type: application/json',
    '-d',
    '{"model":"practice-echo-key","messages":[{"role":"user","content":"key?"}]}',
    'http://127.0.0.1:9090/v1/chat/completions',
  ]);
  assert.match(whole.stdout, /Your key is \*+/);
  for (const said of [turn.stdout, turn.stderr, whole.stdout, whole.stderr])
    assert.equal(said.includes(key), false);
  assert.equal(provider.requests.length, 2);
  for (const { headers } of provider.requests)
    assert.equal(headers.authorization, `Bearer ${key}`, 'control: the provider did receive it');

  const pidOf = async (name: string): Promise<number> =>
    (await statusOf(a)).processes.find((each) => each.name === name)?.pid ?? 0;
  const guest = tree(await pidOf('agent@main'));
  const inside = guest.at(-1) ?? 0;
  assert.match(
    read(`/proc/${inside}/environ`).toString(),
    /OPENAI_API_KEY=placeholder/,
    'control: it is the guest',
  );
  for (const pid of guest) assert.equal(read(`/proc/${pid}/environ`).includes(key), false);

  // Read as root, so that no file mode hides anything: it is not there at all.
  const view = `/proc/${inside}/root`;
  const search = (text: string): ReturnType<typeof run> =>
    run('grep', [
      '-rlF',
      '--devices=skip',
      '--exclude-dir=proc',
      '--exclude-dir=usr',
      '--exclude-dir=node_modules',
      text,
      `${view}/`,
    ]);
  writeFileSync(join(a.home, 'agents/main/workspace/planted'), 'a-planted-word-to-find');
  assert.match(
    (await search('a-planted-word-to-find')).stdout,
    /workspace\/planted/,
    'control: the search finds',
  );
  assert.equal((await search(key)).stdout, '');
  for (const part of ['var/lib/holdfast/secrets', 'run/credentials', 'run/holdfast'])
    assert.equal((await run('ls', [`${view}/${part}`])).code, 2, `${part} is not in its view`);

  const llm = tree(await pidOf('llm')).at(-1) ?? 0;
  assert.equal(remembers(llm, key), true, 'control: llm holds it, and the search of memory finds it');
  assert.equal(remembers(inside, key), false);
});
