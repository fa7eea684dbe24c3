/** The real broker and tools processes on the real engine, with a keeper and a controller that are small servers. Tests of sandbox/ stand here. */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { chownSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Docker from 'dockerode';
import { Problem } from '../../appliance/problem.ts';
import { serve, stream } from '../../appliance/socket.ts';
import { imageTag } from '../../images/tool/recipe.ts';
import { digest, type Job, type SignedApproval, signApproval } from '../../sandbox/approval.ts';
import { createEngine } from '../../sandbox/docker.ts';

const root = join(import.meta.dirname, '../..');
export const dockerSocket = '/var/run/docker.sock';
export const docker = new Docker({ socketPath: dockerSocket });

/** No account has it, and no real appliance: see the ranges in manifest.ts. */
export const agentUid = process.getuid?.() === 0 ? 399_001 : (process.getuid?.() ?? 1000);

export type Stand = Awaited<ReturnType<typeof stand>>;
export type Line = Record<string, unknown>;

type Asked = {
  id: string;
  job: Job;
  digest: string;
  by: string;
  state: 'pending' | 'approved' | 'denied' | 'expired' | 'withdrawn';
  reason?: string;
  approval?: SignedApproval;
  wake: Set<() => void>;
};

export async function stand(
  options: { waitSeconds?: number; timeoutSeconds?: number; outputKb?: number } = {},
) {
  const instance = randomBytes(4).toString('hex');
  const home = mkdtempSync(join(tmpdir(), 'hf-home-'));
  const run = mkdtempSync(join(tmpdir(), 'hf-r-'));
  for (const folder of ['audit', 'broker', 'keys']) mkdirSync(join(home, folder));
  writeFileSync(join(home, 'audit/tools.jsonl'), '');
  const workspace = join(home, 'agents/main/workspace');
  mkdirSync(workspace, { recursive: true });
  if (process.getuid?.() === 0) chownSync(workspace, agentUid, agentUid);
  const keys = generateKeyPairSync('ed25519');
  writeFileSync(join(home, 'keys/approvals.pub.pem'), keys.publicKey.export({ type: 'spki', format: 'pem' }));
  const image = (await docker.getImage(imageTag()).inspect()).Id;

  const socket = (name: string): string => join(run, name, 'sock');
  for (const name of ['lease', 'ask']) mkdirSync(join(run, name));
  const keeper = await startKeeper(socket('lease'));
  const controller = await startController(socket('ask'), keys.privateKey);
  const children: ChildProcess[] = [];

  /** Opens the doors, starts the process as the launcher would, waits until it serves. */
  async function start(name: string, part: object, sockets: string[], ports: string[] = []) {
    const doors: Server[] = [];
    for (const each of [...sockets, `control.${name}`]) {
      rmSync(join(run, each), { recursive: true, force: true });
      mkdirSync(join(run, each));
      doors.push(await listen({ path: join(run, each, 'new') }));
      renameSync(join(run, each, 'new'), socket(each)); // closing our end would remove the path it knows
    }
    for (const _ of ports) doors.push(await listen({ port: 0, host: '127.0.0.1' }));
    const bound = doors
      .slice(doors.length - ports.length)
      .map((door) => (door.address() as AddressInfo).port);
    writeFileSync(
      join(run, `${name}.json`),
      JSON.stringify({ version: 'v1', part: { ...part, version: 'v1' } }),
    );
    const child = spawn(process.execPath, [join(root, `appliance/processes/${name}.ts`)], {
      cwd: '/',
      env: {
        HOLDFAST_PROCESS: name,
        HOLDFAST_HOME: home,
        HOLDFAST_RUN: run,
        HOLDFAST_PART: join(run, `${name}.json`),
        LISTEN_FDNAMES: [...sockets, `control.${name}`, ...ports].join(':'),
      },
      stdio: ['ignore', 'pipe', 'inherit', ...doors.map(fdOf)],
    });
    children.push(child);
    for (const door of doors) door.close(); // the child has its own
    const said: Line[] = [];
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (text) => {
        const line = JSON.parse(text) as Line;
        said.push(line);
        if (line.ready === true) resolve();
      });
      child.once('exit', (code) => reject(new Error(`${name} ended with ${code} before it was ready`)));
    });
    return { child, said, ports: bound };
  }

  const brokerPart = {
    instance,
    workspaces: { main: workspace },
    uids: { main: { uid: agentUid, gid: agentUid } },
    memoryMb: 128,
    pids: 64,
    outputKb: options.outputKb ?? 64,
    dockerSocket,
  };
  const toolsPart = {
    agents: ['main'],
    waitSeconds: options.waitSeconds ?? 60,
    timeoutSeconds: options.timeoutSeconds ?? 20,
    outputKb: options.outputKb ?? 64,
  };

  return {
    instance,
    home,
    workspace,
    image,
    keys,
    keeper,
    controller,
    socket,
    startBroker: (change: object = {}) => start('broker', { ...brokerPart, ...change }, ['broker']),
    startTools: () => start('tools', toolsPart, ['run'], ['tools.main']),
    /** A job that the broker would run, with what is changed in it. */
    job: (change: Partial<Job> = {}): Job => ({
      v: 1,
      agent: 'main',
      profile: 'shell',
      script: 'echo hello',
      timeoutMs: 20_000,
      image,
      nonce: randomBytes(16).toString('hex'),
      expiresAt: new Date(Date.now() + 60_000).toISOString(),
      ...change,
    }),
    approve: (job: Job, key: KeyObject = keys.privateKey): SignedApproval =>
      signApproval(key, {
        id: randomBytes(8).toString('hex'),
        agent: job.agent,
        digest: digest(job),
        nonce: job.nonce,
        expiresAt: job.expiresAt,
      }),
    send: (job: unknown, approval: unknown, signal?: AbortSignal): AsyncGenerator<unknown> =>
      stream(socket('broker'), 'POST /run', { job, approval }, signal ? { signal } : {}),
    ledger: (): Line[] =>
      readFileSync(join(home, 'audit/tools.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line])),
    /** Containers of this stand in any state, or the running ones, by id. */
    containers: async (state: 'any' | 'running' = 'any'): Promise<string[]> => {
      const filters = { label: [`holdfast.instance=${instance}`] };
      return (await docker.listContainers({ all: state === 'any', filters })).map(({ Id }) => Id);
    },
    async close() {
      for (const child of children) child.kill('SIGKILL');
      keeper.close();
      controller.close();
      await createEngine(dockerSocket).removeAll(instance);
      for (const folder of [home, run]) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Beats as keeper/lease.ts reads them. */
async function startKeeper(path: string) {
  const held = new Set<Socket>();
  const keeper = {
    state: 'armed' as 'armed' | 'killed',
    close(): void {
      clearInterval(timer);
      server.close();
      for (const socket of held) socket.destroy();
    },
  };
  const beat = (socket: Socket): void =>
    void socket.write(`${JSON.stringify({ at: String(process.hrtime.bigint()), state: keeper.state })}\n`);
  const timer = setInterval(() => held.forEach(beat), 100);
  const server = createServer((socket) => {
    held.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => held.delete(socket));
    beat(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return keeper;
}

/** The questions of ask.sock, and a person who answers: by hand, or always yes. */
async function startController(path: string, key: KeyObject) {
  const asked: Asked[] = [];
  const of = (id: string | undefined): Asked => {
    const found = asked.find((each) => each.id === id);
    if (!found) throw new Problem('no-approval', 404, 'there is no such approval', '');
    return found;
  };
  const settle = (each: Asked, state: Asked['state'], reason?: string): void => {
    if (each.state !== 'pending') return;
    each.state = state;
    if (reason !== undefined) each.reason = reason;
    if (state === 'approved') {
      const { id, job, digest: named } = each;
      each.approval = signApproval(key, { ...job, id, digest: named }); // of job only the shared fields are taken
    }
    for (const wake of each.wake) wake();
  };
  const answer = ({ id, state, reason, approval, job }: Asked): object => ({
    id,
    state,
    reason,
    approval,
    expiresAt: job.expiresAt,
  });
  const controller = {
    asked,
    /** 'yes' answers whatever is asked from now on. */
    mood: 'ask' as 'ask' | 'yes',
    yes: (id: string): void => settle(of(id), 'approved'),
    no: (id: string): void => settle(of(id), 'denied', 'admin said no.'),
    /** Resolves with the next question that is pending. */
    async question(seen = asked.length): Promise<Asked> {
      return until('a question', () => asked.slice(seen).find(({ state }) => state === 'pending'));
    },
    close: (): void => {
      server.closeAllConnections();
      server.close();
    },
  };
  const server = await serve(
    { path },
    {
      'POST /approvals': ({ body }) => {
        const { job, digest: named, by } = body as { job: Job; digest: string; by: string };
        const id = randomBytes(8).toString('hex');
        const each: Asked = { id, job, digest: named, by, state: 'pending', wake: new Set() };
        asked.push(each);
        if (controller.mood === 'yes') settle(each, 'approved');
        return answer(each);
      },
      'GET /approvals/:id': async ({ params, query, signal }) => {
        const each = of(params.id);
        const left = Date.parse(each.job.expiresAt) - Date.now();
        if (each.state === 'pending') {
          await new Promise<void>((resolve) => {
            each.wake.add(resolve);
            signal.addEventListener('abort', () => resolve());
            setTimeout(resolve, Math.min(Number(query.get('waitMs')), left)).unref();
          });
          if (Date.now() >= Date.parse(each.job.expiresAt)) settle(each, 'expired');
        }
        return answer(each);
      },
      'DELETE /approvals/:id': ({ params, body }) => {
        settle(of(params.id), 'withdrawn', (body as { why: string }).why);
        return answer(of(params.id));
      },
    },
  );
  return controller;
}

const listen = (where: { port: number; host: string } | { path: string }): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(where, () => resolve(server));
  });

/** A listening descriptor to give away; node has no public name for it. */
const fdOf = (server: Server): number => (server as unknown as { _handle: { fd: number } })._handle.fd;

/** Looks every 20 ms, at most 15 s. */
export async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const end = Date.now() + 15_000;
  while (Date.now() < end) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited 15 s for ${what}`);
}

/** All text of one output, and the last value. */
export async function collect(events: AsyncIterable<unknown>): Promise<{
  stdout: string;
  stderr: string;
  last: Line;
}> {
  const all = { stdout: '', stderr: '', last: {} as Line };
  for await (const event of events) {
    all.last = event as Line;
    const { stream: output, text } = event as { stream?: 'stdout' | 'stderr'; text?: string };
    if (output && text !== undefined) all[output] += text;
  }
  return all;
}
