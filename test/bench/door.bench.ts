/** A door in a world against the same server on host loopback: latency of one keep-alive connection, and bytes per second, by turns in one run. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { openDoors } from '../../appliance/world/door.ts';
import { enter, type Mode, openNamespace } from '../../appliance/world/namespace.ts';

const rounds = 7;
const port = 9090;

type Figures = { p50Us: number; mbPerS: number };

export async function bench(): Promise<Record<string, unknown>> {
  const mode: Mode = process.getuid?.() === 0 ? 'root' : 'user';
  const namespace = await openNamespace(mode);
  const servers: ChildProcess[] = [];
  try {
    const hostPort = 20_000 + (process.pid % 20_000);
    for (const [pid, listen] of [
      [namespace.pid, `127.0.0.1:${port}`],
      [null, `127.0.0.1:${hostPort}`],
    ] as const) {
      const [door] = await openDoors(mode, pid, [{ name: 'bench', listen }]);
      if (!door) throw new Error('no door');
      const server = spawn(process.execPath, [join(import.meta.dirname, 'door-server.ts')], {
        stdio: ['ignore', 'pipe', 'inherit', door.fd],
      });
      door.close();
      servers.push(server);
      await once(server.stdout ?? server, 'data');
    }
    const inWorld: Figures[] = [];
    const onHost: Figures[] = [];
    for (let round = 0; round < rounds; round += 1) {
      onHost.push(await client([], hostPort));
      inWorld.push(await client(enter(mode, namespace.pid), port));
    }
    const [door, host] = [medians(inWorld), medians(onHost)];
    const latencyVsLoopback = ratio(door.p50Us, host.p50Us);
    const throughputVsLoopback = ratio(door.mbPerS, host.mbPerS);
    process.stdout.write(`\n              latency p50   throughput\n`);
    process.stdout.write(
      `door          ${door.p50Us.toFixed(1).padStart(8)} us ${door.mbPerS.toFixed(0).padStart(7)} MB/s\n`,
    );
    process.stdout.write(
      `loopback      ${host.p50Us.toFixed(1).padStart(8)} us ${host.mbPerS.toFixed(0).padStart(7)} MB/s\n\n`,
    );
    return { latencyVsLoopback, throughputVsLoopback, door, loopback: host, rounds };
  } finally {
    for (const server of servers) server.kill('SIGKILL');
    namespace.close();
  }
}

async function client(prefix: string[], to: number): Promise<Figures> {
  const command = [...prefix, process.execPath, join(import.meta.dirname, 'door-client.ts'), String(to)];
  const child = spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (text: Buffer) => {
    out += text.toString();
  });
  await once(child, 'close');
  return JSON.parse(out) as Figures;
}

const medians = (all: Figures[]): Figures => ({
  p50Us: median(all.map((each) => each.p50Us)),
  mbPerS: median(all.map((each) => each.mbPerS)),
});
const median = (values: number[]): number =>
  values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const ratio = (ours: number, theirs: number): number => Math.round((ours / theirs) * 1000) / 1000;
