/** Docker's engine behind the few verbs that the broker needs. It runs what container.ts made and can pull, build or exec nothing. */
import type { IncomingMessage } from 'node:http';
import type { ContainerCreateOptions } from 'dockerode';
import Docker from 'dockerode';
import { instanceLabel } from './container.ts';
import { type Output, outputs } from './frames.ts';

/** The end of a run. `exit` is 124 after the time limit, 137 when the container was killed. */
export type Exit = { exit: number; timedOut: boolean; oom: boolean; ms: number };
export type RunEvent = Output | Exit;

export type Run = {
  script: string;
  timeoutMs: number;
  /** Ends the container at once, whatever it does. */
  signal: AbortSignal;
  /** Asked right before the container starts; false leaves nothing behind. */
  mayStart: () => boolean;
};

export type Engine = {
  /** The id of an image, undefined when there is none; throws EngineFault when no engine answers. */
  imageId(tag: string): Promise<string | undefined>;
  /** Output as it comes, and one Exit last. Without an Exit the run was aborted. Throws EngineFault. */
  run(options: ContainerCreateOptions, run: Run): AsyncGenerator<RunEvent>;
  /** Kills and removes every container of the instance; says how many there were. */
  removeAll(instance: string): Promise<number>;
};

export class EngineFault extends Error {
  readonly hint: string;
  constructor(message: string, hint: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'EngineFault';
    this.hint = hint;
  }
}

/** The runner keeps the limit itself; past it by this much, the container is stuck and is killed from outside. */
const stuckAfterMs = 5000;
const shellTimeout = 124; // runner.pl
/** An "oom" event may come a moment after the exit that it explains. */
const oomEventLateMs = 200;

export function createEngine(socketPath: string): Engine {
  const docker = new Docker({ socketPath });

  async function* run(options: ContainerCreateOptions, job: Run): AsyncGenerator<RunEvent> {
    const container = await said('create', docker.createContainer(options));
    const gone = (): Promise<void> => container.remove({ force: true }).catch(ignoreGone);
    const kill = (): void => void gone().catch(() => {}); // the wait below ends either way
    job.signal.addEventListener('abort', kill);
    let stuck: NodeJS.Timeout | undefined;
    try {
      const attach = { stream: true, stdin: true, stdout: true, stderr: true, hijack: true };
      const stream = await said('attach', container.attach(attach));
      // An engine that dies resets this connection: the loop below sees it as the end.
      stream.on('error', () => {});
      if (job.signal.aborted || !job.mayStart()) return;
      const startedAt = Date.now();
      const from = performance.now();
      await said('start', container.start());
      const ended = await watchEnd(container);
      const script = Buffer.from(job.script);
      let killedLate = false;
      stuck = setTimeout(() => {
        killedLate = true;
        kill();
      }, job.timeoutMs + stuckAfterMs);
      stream.write(Buffer.concat([Buffer.from(`${job.timeoutMs} ${script.length}\n`), script]));
      yield* outputs(stream as unknown as AsyncIterable<Buffer>);
      const exit = await said('wait', ended.code);
      const ms = Math.round(performance.now() - from);
      if (job.signal.aborted) return;
      yield {
        exit,
        timedOut: killedLate || (exit === shellTimeout && ms >= job.timeoutMs),
        oom: exit !== 0 && (await sawOom(container.id, startedAt, exit)),
        ms,
      };
    } finally {
      clearTimeout(stuck);
      job.signal.removeEventListener('abort', kill);
      await gone();
    }
  }

  /** Resolves once the engine has promised to tell (its headers are there); `code` is what it then tells. */
  async function watchEnd(container: Docker.Container): Promise<{ code: Promise<number> }> {
    const res = await said('wait', openWait(container));
    const code = readAll(res).then((text) => (JSON.parse(text) as { StatusCode: number }).StatusCode);
    code.catch(() => {}); // awaited later; until then it is nobody's
    return { code };
  }

  async function sawOom(id: string, startedAt: number, exit: number): Promise<boolean> {
    const until = Date.now() + (exit === 137 ? oomEventLateMs : 0);
    const events = await docker.getEvents({
      since: startedAt / 1000,
      until: until / 1000,
      filters: { container: [id], event: ['oom'] },
    });
    return (await readAll(events)).includes('"oom"');
  }

  return {
    async imageId(tag) {
      try {
        return (await docker.getImage(tag).inspect()).Id;
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw fault('answer', error);
      }
    },
    run,
    async removeAll(instance) {
      const filters = { label: [`${instanceLabel}=${instance}`] };
      const found = await said('list', docker.listContainers({ all: true, filters }));
      await Promise.all(found.map(({ Id }) => removeWholly(docker.getContainer(Id))));
      return found.length;
    },
  };
}

/** Also when somebody else has begun to remove it (409): then it waits for that. */
async function removeWholly(container: Docker.Container): Promise<void> {
  try {
    await container.remove({ force: true });
  } catch (error) {
    if (statusOf(error) !== 409) return ignoreGone(error);
    await container.wait({ condition: 'removed' }).catch(ignoreGone);
  }
}

/** dockerode's own wait() resolves with the body only, which is too late to know that the engine listens. */
function openWait(container: Docker.Container): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    container.modem.dial(
      {
        path: `/containers/${container.id}/wait?`,
        options: { condition: 'next-exit' },
        method: 'POST',
        isStream: true,
        statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
      },
      (error: unknown, res: IncomingMessage) => (error ? reject(error) : resolve(res)),
    );
  });
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) text += chunk;
  return text;
}

const said = <T>(what: string, answer: Promise<T>): Promise<T> =>
  answer.catch((error: unknown) => {
    throw fault(what, error);
  });

function fault(what: string, error: unknown): EngineFault {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EACCES') {
    const fix = 'sudo usermod -aG docker $USER, then log in again and start Holdfast again.';
    return new EngineFault('Holdfast’s user may not use Docker’s socket', fix, error);
  }
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ECONNRESET') {
    return new EngineFault(
      `Docker’s engine does not answer (${code})`,
      'Start it: systemctl start docker.',
      error,
    );
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new EngineFault(`Docker’s engine failed to ${what}: ${reason}`, 'Look at its log.', error);
}

const statusOf = (error: unknown): number | undefined => (error as { statusCode?: number }).statusCode;

/** 404: gone already. 409: going. */
function ignoreGone(error: unknown): void {
  const status = statusOf(error);
  if (status !== 404 && status !== 409) throw error;
}
