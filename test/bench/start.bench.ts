/** From `up` on an installed checkout to the first streamed byte of an answer in the chat, and the memory of all that then idles. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { homePaths } from '../../appliance/paths.ts';
import { call } from '../../appliance/socket.ts';
import { createProvider } from '../provider/provider.ts';
import { freePort, root, until } from '../world/appliance.ts';
import { operatorOf } from '../world/operator.ts';

const idleAfterMs = 10_000;

export async function bench(): Promise<Record<string, unknown>> {
  const provider = await createProvider();
  const home = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const [controllerPort, chatPort] = [await freePort(), await freePort()];
  writeFileSync(
    join(home, 'holdfast.yaml'),
    `controller: { port: ${controllerPort} }\nchat: { port: ${chatPort} }\nproviders: { local: { kind: openai, baseUrl: ${provider.url}, price: { free: true } } }\nagents: { main: { model: { provider: local, name: fake-1 } } }\n`,
  );
  const began = performance.now();
  const child = spawn('npm', ['start', '--silent', '--', '--home', home], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text: Buffer) => {
      output += text.toString();
    });
  }
  try {
    await until(
      () => /^chat: /m.test(output),
      60_000,
      () => output,
    );
    const readyMs = Math.round(performance.now() - began);
    const controllerUrl = `http://127.0.0.1:${controllerPort}`;
    const chatUrl = `http://localhost:${chatPort}`;
    const setupCode = /setup code:\s*(\S+)/.exec(output)?.[1] ?? '';
    const operator = await operatorOf({ controllerUrl, chatUrl, setupCode } as Parameters<
      typeof operatorOf
    >[0]);
    await until(
      async () =>
        /agent@main","state":"running/.test(
          JSON.stringify(await call(homePaths(home).socket('launch'), 'GET /status')),
        ),
      30_000,
    );
    await operator.post(`${chatUrl}/a/main/say`, { text: 'good morning' });
    await operator.watch(`${chatUrl}/a/main`, (text) => /You said/.test(text));
    const firstAnswerMs = Math.round(performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, idleAfterMs));
    const memory = memoryOf(child.pid ?? 0);
    const sum = (of: 'pssMb' | 'rssMb'): number =>
      Math.round(memory.reduce((all, each) => all + each[of], 0) * 10) / 10;
    for (const each of memory)
      process.stdout.write(
        `${each.name.padEnd(24)} ${each.pssMb.toFixed(1).padStart(8)} MB PSS ${each.rssMb.toFixed(1).padStart(8)} MB RSS\n`,
      );
    return {
      readyMs,
      firstAnswerMs,
      pssMb: sum('pssMb'),
      rssMb: sum('rssMb'),
      pssByProcess: Object.fromEntries(memory.map((each) => [each.name, each.pssMb])),
    };
  } finally {
    try {
      process.kill(-(child.pid ?? 0), 'SIGTERM');
    } catch {
      // it ended by itself
    }
    await until(() => child.exitCode !== null || child.signalCode !== null, 20_000).catch(() => {});
    await provider.close();
    rmSync(home, { recursive: true, force: true });
  }
}

type Memory = { name: string; pssMb: number; rssMb: number };

/** The launcher and all its descendants; npm itself, a shell of the user's, is left out and bubblewrap counted in. */
function memoryOf(top: number): Memory[] {
  const parents = new Map<number, number>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = read(`/proc/${pid}/stat`);
    parents.set(Number(pid), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const below = (pid: number): boolean => pid === top || (parents.has(pid) && below(parents.get(pid) ?? 0));
  const sums = new Map<string, Memory>();
  for (const pid of [...parents.keys()].filter(below)) {
    const name = nameOf(read(`/proc/${pid}/cmdline`).split('\0'));
    const rollup = read(`/proc/${pid}/smaps_rollup`);
    if (name === null || rollup === '') continue;
    const kb = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0);
    const sum = sums.get(name) ?? { name, pssMb: 0, rssMb: 0 };
    sum.pssMb += kb('Pss') / 1024;
    sum.rssMb += kb('Rss') / 1024;
    sums.set(name, sum);
  }
  return [...sums.values()].sort((a, b) => b.pssMb - a.pssMb);
}

function nameOf(args: string[]): string | null {
  const line = args.join(' ');
  if (/npm/.test(line) && !/holdfast\.ts/.test(line)) return null;
  if (args[0] === 'bwrap') return 'bubblewrap';
  const root = /appliance\/processes\/([a-z]+)\.ts(?: ([a-z][a-z0-9-]*))?/.exec(line);
  if (root) return root[2] ? `${root[1]}@${root[2]}` : (root[1] ?? 'node');
  if (/holdfast\.ts/.test(line)) return 'launcher';
  if (/dockerd|containerd/.test(args[0] ?? '')) return null; // the engine, not ours
  return args[0]?.split('/').at(-1) ?? 'other';
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
