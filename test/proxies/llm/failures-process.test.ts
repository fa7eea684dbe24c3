/** What only a whole process shows: its memory under stalled readers and long bodies, and a disk that is full. The door runs as bench/llm-server.ts composes it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, type TestContext, test } from 'node:test';
import type { Provider as Configured } from '../../../proxies/llm/kinds/kind.ts';
import { forgetPeak, memoryMb } from '../../bench/llm-cpu.ts';
import { prepareLlm } from '../../bench/llm-start.ts';
import { chatBody, post, startProvider, until } from './rig.ts';

const chat = '/v1/chat/completions';
const compiled = mkdtempSync(join(tmpdir(), 'holdfast-compiled-'));
after(() => rmSync(compiled, { recursive: true, force: true }));
const startOf = await prepareLlm(compiled);

type Served = { url: string; port: number; pid: number };

/** `before` is put in front of the command, as a mount namespace is. */
async function serve(
  t: TestContext,
  baseUrl: string,
  folder: string,
  before: string[] = [],
): Promise<Served> {
  const far: Configured = {
    name: 'far',
    kind: 'openai',
    baseUrl,
    concurrency: 1000,
    price: { inputUsdPerMillion: 1, outputUsdPerMillion: 2 },
  };
  const start = startOf({ folder, providers: [far] });
  const [command = '', ...args] = [...before, ...start.command];
  const child: ChildProcess = spawn(command, args, { env: start.env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr?.pipe(process.stderr);
  t.after(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  if (!child.stdout) throw new Error('no stdout');
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { port } = JSON.parse(line) as { port: number };
  return { url: `http://127.0.0.1:${port}`, port, pid: child.pid ?? 0 };
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-process-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Streams that never end, as fast as anybody takes them. */
async function startEndless(t: TestContext): Promise<{ url: string; sent(): number }> {
  let sent = 0;
  const event = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x'.repeat(10_000) } }] })}\n\n`;
  const server = createServer((req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const more = (): void => {
      while (!res.destroyed) {
        sent += event.length;
        if (!res.write(event)) return void res.once('drain', more);
      }
    };
    req.resume().on('end', more);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, sent: () => sent };
}

function stalled(t: TestContext, port: number, number: number): Socket {
  const body = JSON.stringify(chatBody(`stream ${number}`, { stream: true }));
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  socket.pause();
  socket.write(`POST ${chat} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  return socket;
}

for (const readers of [16, 64])
  test(`${readers} readers that stall on endless streams: below 200 MB, and the providers wait`, async (t) => {
    const endless = await startEndless(t);
    const { port, pid } = await serve(t, endless.url, folderOf(t));
    forgetPeak(pid);
    for (let number = 0; number < readers; number++) stalled(t, port, number);
    await until(() => endless.sent() > readers * 100_000, 10_000);
    // What the kernel holds for two sockets of each stream fills up first: some 10 MB for each, which are nobody's resident memory.
    let before = -1;
    for (let look = 0; look < 60 && before !== endless.sent(); look++) {
      before = endless.sent();
      await new Promise((done) => setTimeout(done, 500));
    }
    assert.equal(endless.sent(), before, 'nobody reads, so nobody writes');
    const { peak } = memoryMb(pid);
    assert.ok(peak < 200, `${peak} MB`);
  });

test('bodies of 10 MB, eight at once, again and again: below 320 MB', async (t) => {
  const provider = await startProvider(t);
  const { url, pid } = await serve(t, provider.url, folderOf(t));
  const messages = [
    { role: 'system', content: 'x'.repeat(10_000_000) },
    { role: 'user', content: 'hello' },
  ];
  const body = JSON.stringify({ model: 'practice', messages });
  forgetPeak(pid);
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(Array.from({ length: 8 }, () => post(url + chat, body)));
    for (const answer of answers) {
      assert.equal(answer.status, 200, await answer.text());
    }
    provider.requests.length = 0;
  }
  const { rss, peak } = memoryMb(pid);
  assert.ok(peak < 320, `${peak} MB at most, ${rss} MB after`);
});

test('on a full disk a request is refused and nothing leaves; with room again it goes on', async (t) => {
  const provider = await startProvider(t);
  const folder = folderOf(t);
  // A mount namespace of its own: nothing to unmount, and as an ordinary user it needs a user namespace too.
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const script = `mount -t tmpfs -o size=2m tmpfs '${folder}' && head -c 1000000 /dev/zero > '${folder}/ballast' && exec "$@"`;
  const { url, pid } = await serve(t, provider.url, folder, [
    'unshare',
    ...asRoot,
    '--mount',
    'sh',
    '-c',
    script,
    'sh',
  ]);
  const say = (number: number): Promise<Response> =>
    post(url + chat, chatBody(`${number} ${'word '.repeat(10_000)}`, { max_tokens: 10 }));
  let answered = 0;
  let refused: Response | undefined;
  for (let number = 0; number < 100 && !refused; number++) {
    const answer = await say(number);
    if (answer.status === 200) answered += 1;
    else refused = answer;
    if (answer.status === 200) await answer.arrayBuffer();
  }
  assert.ok(answered > 3, 'the control: there was room at first');
  assert.equal(refused?.status, 503);
  assert.equal(refused?.headers.get('x-should-retry'), 'false');
  assert.match((await refused?.text()) ?? '', /not-recorded.*Free space/);
  assert.equal(provider.requests.length, answered, 'what is not on record has not left');
  rmSync(`/proc/${pid}/root${folder}/ballast`);
  assert.equal((await say(1000)).status, 200);
  assert.equal(provider.requests.length, answered + 1);
});
