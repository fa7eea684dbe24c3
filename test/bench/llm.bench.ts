/** The llm door beside nginx and Portkey, in one run on one machine: CPU for each request, added latency, memory, aborts, and what the ledger does. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { measureLedger } from './ledger.ts';
import { cpuMs, forgetPeak, memoryMb } from './llm-cpu.ts';
import type { Job, Seen } from './llm-load.ts';
import type { ServerJob } from './llm-server.ts';
import { prepareLlm } from './llm-start.ts';
import { answers, findNginx, proxies, startNginx } from './peers/nginx.ts';
import { startPortkey } from './peers/portkey.ts';

const rounds = 5;
/** Not the system's temporary folder, which may be memory: the ledger is to lie on a disk. */
const diskFolder = '/var/tmp';

/** A proxy under test; `direct` is none. */
type Way = { name: string; port: number; pids: number[]; headers: Record<string, string> };
type Figure = { cpuUs: number; p50Us: number; p99Us: number; perS: number };
type Closer = () => unknown;

/** What an OpenAI server answers: 1.45 kB, as in the measurements that the goals come from. */
const completion = (): string => {
  const body = (content: string) =>
    JSON.stringify({
      id: 'chatcmpl-bench',
      object: 'chat.completion',
      created: 1_750_000_000,
      model: 'bench',
      choices: [{ index: 0, message: { role: 'assistant', content }, logprobs: null, finish_reason: 'stop' }],
      usage: { prompt_tokens: 500, completion_tokens: 250, total_tokens: 750 },
      system_fingerprint: 'fp_bench',
    });
  return body('lorem ipsum '.repeat(200).slice(0, 1450 - body('').length));
};

export async function bench(): Promise<Record<string, unknown>> {
  const folder = mkdtempSync(join(diskFolder, 'holdfast-llm-bench-'));
  const closers: Closer[] = [() => rmSync(folder, { recursive: true, force: true })];
  const unmeasured: Record<string, string> = {};
  try {
    say('looking for nginx ...');
    const nginx = await findNginx(folder);
    if ('why' in nginx) {
      // Without its upstream nothing here can be compared with what the goals say.
      return { ...nothing, why: nginx.why };
    }
    const nginxAt = async (name: string, port: number, location: string, outside?: string) => {
      const own = join(folder, name);
      mkdirSync(own);
      const started = await startNginx(nginx.path, own, port, location, outside);
      closers.push(started.close);
      return started;
    };
    const far = await nginxAt('far', await freePort(), answers(completion()));
    const { location, outside } = proxies(far.port);
    const proxy = await nginxAt('proxy', await freePort(), location, outside);
    const streams = await startNode([process.execPath, join(import.meta.dirname, 'llm-upstream.ts')]);
    closers.push(streams.close);
    const streaming = proxies(streams.port);
    const streamProxy = await nginxAt('streams', await freePort(), streaming.location, streaming.outside);

    const startOf = await prepareLlm(folder);
    const serve = async (name: string, to: number) => {
      const providers = [
        {
          name: 'far',
          kind: 'openai' as const,
          baseUrl: `http://127.0.0.1:${to}/v1`,
          key: 'bench',
          concurrency: 1000,
          price: { inputUsdPerMillion: 1, outputUsdPerMillion: 2 },
        },
      ];
      const job: ServerJob = { folder: join(folder, name), providers };
      const { command, env } = startOf(job);
      const server = await startNode(command, env);
      closers.push(server.close);
      return server;
    };
    const door = await serve('door', far.port);
    const streamDoor = await serve('stream-door', streams.port);

    say("installing Portkey with its lock file's versions ...");
    const portkey = await startPortkey(folder, await freePort());
    if ('why' in portkey) unmeasured.portkey = portkey.why;
    else closers.push(portkey.close);

    const ways = (
      to: number,
      ours: { port: number; pid: number },
      plain: { port: number; pids: number[] },
    ): Way[] => [
      { name: 'direct', port: to, pids: [], headers: {} },
      { name: 'nginx', port: plain.port, pids: plain.pids, headers: {} },
      { name: 'holdfast', port: ours.port, pids: [ours.pid], headers: {} },
      ...('why' in portkey
        ? []
        : [{ name: 'portkey', port: portkey.port, pids: portkey.pids, headers: portkey.headers(to) }]),
    ];
    const whole = ways(far.port, door, proxy);
    const streamed = ways(streams.port, streamDoor, streamProxy);

    // Portkey takes twenty times as long: fewer requests show as much.
    const small = await compare('2 kB, 16 connections', whole, (way) => ({
      kind: 'whole',
      connections: 16,
      requests: way.name === 'portkey' ? 1200 : 8000,
      bodyBytes: 2000,
    }));
    const single = await compare('2 kB, 1 connection', whole, (way) => ({
      kind: 'whole',
      connections: 1,
      requests: way.name === 'portkey' ? 400 : 2000,
      bodyBytes: 2000,
    }));
    const large = await compare('200 kB, 4 connections', whole, (way) => ({
      kind: 'whole',
      connections: 4,
      requests: way.name === 'portkey' ? 200 : 600,
      bodyBytes: 200_000,
    }));
    const sse = await compare('SSE, 20 streams of 100 events', streamed, () => ({
      kind: 'paced',
      model: 'bench-paced',
      connections: 20,
      requests: 20,
      bodyBytes: 2000,
    }));

    const flooded: Record<string, number> = {};
    for (const way of streamed.filter(({ pids }) => pids.length > 0)) {
      say(`64 streams of 5 MB through ${way.name} ...`);
      const pid = way.pids.at(-1) ?? 0;
      forgetPeak(pid);
      const seen = await load(way, {
        kind: 'flood',
        model: 'bench-big',
        connections: 64,
        requests: 64,
        bodyBytes: 2000,
      });
      if (seen.bad > 0) unmeasured[`flood-${way.name}`] = `${seen.bad} of 64 streams did not come whole`;
      flooded[way.name] = round(memoryMb(pid).peak);
    }

    const aborted: Record<string, number> = {};
    for (const way of streamed.filter(({ pids }) => pids.length > 0)) {
      say(`100 streams left through ${way.name} ...`);
      const seen = await load(way, {
        kind: 'abort',
        model: 'bench-endless',
        connections: 1,
        requests: 100,
        bodyBytes: 2000,
      });
      aborted[way.name] = await cancelled(streams.port, seen.abortedNs ?? {});
    }

    say('a session of 100 turns, and the ledger by itself ...');
    const session = await serve('session', far.port);
    const bytesPerTurn = await growth(session.port, join(folder, 'session'));
    const ledger = await measureLedger(folder);

    const addedP50Ms = (all: Record<string, Figure>, name: string): number | null =>
      all[name] && all.direct ? round((all[name].p50Us - all.direct.p50Us) / 1000, 3) : null;
    const cpu = (all: Record<string, Figure>, name: string, of: string): number | null =>
      all[name] && all[of] ? round(all[name].cpuUs / all[of].cpuUs, 2) : null;
    return {
      cpuVsNginx: cpu(small, 'holdfast', 'nginx'),
      portkeyVsCpu: cpu(small, 'portkey', 'holdfast'),
      addedP50Ms: addedP50Ms(single, 'holdfast'),
      cpu200kVsNginx: cpu(large, 'holdfast', 'nginx'),
      sseAddedP50Ms: addedP50Ms(sse, 'holdfast'),
      rss64x5MbMb: flooded.holdfast ?? null,
      abort100ms: aborted.holdfast ?? null,
      ...ledger,
      bytesPerTurn,
      // Linear where it is 1: the last turn sends a hundred times what the second did.
      turn100VsTurn2: round((bytesPerTurn[99] ?? Number.NaN) / (bytesPerTurn[1] ?? Number.NaN), 3),
      peers: {
        nginx: {
          cpuUs: small.nginx?.cpuUs,
          addedP50Ms: addedP50Ms(single, 'nginx'),
          cpu200kUs: large.nginx?.cpuUs,
          sseAddedP50Ms: addedP50Ms(sse, 'nginx'),
          rss64x5MbMb: flooded.nginx,
          abort100ms: aborted.nginx,
        },
        portkey: {
          cpuUs: small.portkey?.cpuUs ?? null,
          addedP50Ms: addedP50Ms(single, 'portkey'),
          cpu200kUs: large.portkey?.cpuUs ?? null,
          sseAddedP50Ms: addedP50Ms(sse, 'portkey'),
          rss64x5MbMb: flooded.portkey ?? null,
          abort100ms: aborted.portkey ?? null,
        },
      },
      holdfast: {
        cpuUs: small.holdfast?.cpuUs,
        cpu200kUs: large.holdfast?.cpuUs,
        perS: small.holdfast?.perS,
      },
      rounds,
      repeats: 'off',
      ...(Object.keys(unmeasured).length > 0 ? { why: unmeasured } : {}),
    };
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

const nothing = {
  cpuVsNginx: null,
  portkeyVsCpu: null,
  addedP50Ms: null,
  cpu200kVsNginx: null,
  sseAddedP50Ms: null,
  rss64x5MbMb: null,
  abort100ms: null,
  fdatasyncP50Ms: null,
  ledgerPerS: null,
  verifyPerS: null,
  bytesPerTurn: null,
  turn100VsTurn2: null,
};

let number = 1;

/** Each way in turn, again and again, so that what else the machine does falls on all of them; medians of the rounds. */
async function compare(
  title: string,
  ways: readonly Way[],
  jobFor: (way: Way) => Partial<Job>,
): Promise<Record<string, Figure>> {
  say(`${title} ...`);
  const all = new Map<string, Figure[]>(ways.map(({ name }) => [name, []]));
  for (let turn = -1; turn < rounds; turn += 1) {
    for (const way of ways) {
      const job = jobFor(way);
      const before = cpuMs(way.pids);
      const seen = await load(way, job);
      if (seen.bad > 0) throw new Error(`${way.name}: ${seen.bad} bad answers (${title})`);
      if (turn < 0) continue; // to warm up
      const events = job.kind === 'paced' ? 100 : 1;
      all.get(way.name)?.push({
        cpuUs: ((cpuMs(way.pids) - before) * 1000) / ((job.requests ?? 1) * events),
        p50Us: seen.p50Us,
        p99Us: seen.p99Us,
        perS: (job.requests ?? 1) / seen.seconds,
      });
    }
  }
  const figures: Record<string, Figure> = {};
  process.stdout.write(`\n${title.padEnd(32)} CPU us    p50 us    p99 us  requests/s\n`);
  for (const [name, each] of all) {
    const of = (field: keyof Figure): number => round(median(each.map((one) => one[field])));
    const figure = { cpuUs: of('cpuUs'), p50Us: of('p50Us'), p99Us: of('p99Us'), perS: of('perS') };
    figures[name] = figure;
    const cells = [figure.cpuUs, figure.p50Us, figure.p99Us, figure.perS].map((value) =>
      value.toFixed(0).padStart(10),
    );
    process.stdout.write(`${name.padEnd(28)}${cells.join('')}\n`);
  }
  return figures;
}

async function load(way: Way, job: Partial<Job>): Promise<Seen> {
  const whole: Job = {
    kind: 'whole',
    port: way.port,
    headers: way.headers,
    model: 'bench',
    connections: 1,
    requests: 1,
    bodyBytes: 2000,
    from: number,
    ...job,
  };
  number += whole.requests;
  const child = spawn(process.execPath, [join(import.meta.dirname, 'llm-load.ts'), JSON.stringify(whole)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (text: Buffer) => {
    out += text.toString();
  });
  await once(child, 'close');
  return JSON.parse(out) as Seen;
}

/** How many the far end saw go within 100 ms after they were left. */
async function cancelled(port: number, abortedNs: Record<string, string>): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 500));
  const gone = (await (await fetch(`http://127.0.0.1:${port}/gone`)).json()) as Record<string, string>;
  return Object.entries(abortedNs).filter(([name, at]) => {
    const after = Number(BigInt(gone[name] ?? 0) - BigInt(at)) / 1e6;
    return gone[name] !== undefined && after < 100;
  }).length;
}

const sameLength = (turn: number): string => String(turn).padStart(3, '0');

/** What each turn of a session adds to the ledger: every request holds all that was said before, and as many bytes more. */
async function growth(port: number, folder: string): Promise<number[]> {
  const said = [{ role: 'system', content: 'You are terse.' }];
  const added: number[] = [];
  let before = 0;
  for (let turn = 0; turn < 100; turn += 1) {
    said.push({ role: 'user', content: `Turn ${sameLength(turn)}: ${'what next? '.repeat(40)}` });
    const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: 'bench', messages: said }),
    });
    const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
    said.push({ role: 'assistant', content: `${sameLength(turn)} ${choices[0]?.message.content}` });
    const size = await settled(folder, turn + 1);
    added.push(size - before);
    before = size;
  }
  return added;
}

/** The size of the ledger when the outcome of each turn stands in it: it comes after the answer. */
async function settled(folder: string, turns: number): Promise<number> {
  const archive = join(folder, 'archive');
  for (;;) {
    const paths = [...readdirSync(archive).map((name) => join(archive, name)), join(folder, 'traffic.jsonl')];
    const files = paths.map((path) => readFileSync(path));
    const outcomes = files.reduce(
      (sum, file) => sum + file.toString('latin1').split('"kind":"outcome"').length - 1,
      0,
    );
    if (outcomes >= turns) return files.reduce((sum, file) => sum + file.length, 0);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A program that prints its port as JSON. */
async function startNode(
  [program = '', ...args]: string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ port: number; pid: number; close(): Promise<void> }> {
  const child: ChildProcess = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  if (!child.stdout) throw new Error('no stdout');
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit')])) as [string];
  if (child.exitCode !== null) throw new Error(`${[program, ...args].join(' ')} ended at once`);
  return {
    port: (JSON.parse(line) as { port: number }).port,
    pid: child.pid ?? 0,
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** Below the ports that the kernel gives to who dials (ip_local_port_range begins at 32768): nobody else takes it meanwhile. */
async function freePort(): Promise<number> {
  for (let port = 20_000 + (process.pid % 5_000) + nextPort; ; port += 1) {
    nextPort += 1;
    const server = createServer().listen(port, '127.0.0.1');
    const free = await new Promise<boolean>((resolve) => {
      server.once('listening', () => resolve(true));
      server.once('error', () => resolve(false));
    });
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
let nextPort = 0;

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const median = (values: number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const round = (value: number, digits = 1): number => Math.round(value * 10 ** digits) / 10 ** digits;
