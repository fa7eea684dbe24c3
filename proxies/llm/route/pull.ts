/** The models on an Ollama node, listed and pulled for the operator. Called by the llm process's control socket; no agent reaches it: a door has no path for it. */
import { Agent, type Dispatcher } from 'undici';
import type { Armed } from '../../armed.ts';
import { codeOf, type Denial, deny, leaseDenial, quoted } from '../denial.ts';
import type { Provider } from '../kinds/kind.ts';
import { ollama } from '../kinds/ollama.ts';
import { createClient, fault, NodeFault, shown } from './nodeclient.ts';

export type Listed = {
  name: string;
  bytes: number;
  modifiedAt: string;
  parameters: string;
  quantization: string;
};

/** What the node says it does: a layer at a time, `completedBytes` of `totalBytes`; 0 of 0 where it has no size. */
export type Progress = { status: string; completedBytes: number; totalBytes: number };

export type Pulls = {
  list(provider: Provider, signal?: AbortSignal): Promise<Listed[] | Denial>;
  /** Ends without a word when the model is there. Rejects with NodeFault; breaking off or aborting stops the node too. */
  pull(provider: Provider, model: string, signal: AbortSignal): AsyncGenerator<Progress, void>;
  close(): void;
};

/** A node that checks 40 GB on a slow disk says nothing for minutes. */
const silenceMs = 600_000;
/** `[registry/][namespace/]name[:tag]`, as Ollama's own parser takes it. */
const modelName = /^[A-Za-z0-9][\w.:/-]{0,199}$/;

type Parts = {
  armed: Armed;
  /** Connections for a provider with certificates of its own. Absent: plain ones, shared with no agent. */
  dispatcher?: (provider: Provider) => Dispatcher;
};

export function createPulls({ armed, dispatcher }: Parts): Pulls {
  const own = new Agent({ headersTimeout: silenceMs, bodyTimeout: silenceMs });
  const under = new Set<AbortController>();
  const unsubscribe = armed.onLost(() => {
    for (const each of under) each.abort();
  });

  /** One call, which ends with the signal and the lease. */
  const open = (provider: Provider, given: AbortSignal | undefined) => {
    const ending = new AbortController();
    under.add(ending);
    const signal = given ? AbortSignal.any([given, ending.signal]) : ending.signal;
    const client = createClient(provider, dispatcher?.(provider) ?? own, signal);
    const end = (): void => {
      under.delete(ending);
      ending.abort();
    };
    return { client, signal, end };
  };

  const denialOf = (provider: Provider, error: unknown, signal: AbortSignal): Denial => {
    const found = [error, (error as { cause?: unknown } | null)?.cause].find(
      (each) => each instanceof NodeFault,
    );
    if (found instanceof NodeFault) return found.denial;
    const shut = leaseDenial(armed);
    if (shut) return shut;
    if (signal.aborted)
      return deny(499, 'stopped', 'it was stopped', 'Start it again; what is there already is kept.');
    const cause = (error as { cause?: unknown } | null)?.cause;
    // What the package throws by itself has neither a cause nor a code: the last line never came.
    return fault(provider, cause === undefined ? 'it broke off' : codeOf(cause));
  };

  return {
    async list(provider, given) {
      if (provider.kind !== 'ollama') return notOllama(provider);
      const shut = leaseDenial(armed);
      if (shut) return shut;
      const { client, signal, end } = open(provider, given);
      try {
        const { models } = (await client.list()) as { models?: unknown };
        if (!Array.isArray(models)) return fault(provider, 'its list is no list');
        return models.map(listed);
      } catch (error) {
        return denialOf(provider, error, signal);
      } finally {
        end();
      }
    },

    async *pull(provider, model, given) {
      if (provider.kind !== 'ollama') throw new NodeFault(notOllama(provider));
      const cloud = ollama.modelReachesOut(model);
      if (cloud !== undefined || !modelName.test(model)) throw new NodeFault(badModel(model, cloud));
      const shut = leaseDenial(armed);
      if (shut) throw new NodeFault(shut);
      const { client, signal, end } = open(provider, given);
      try {
        const steps = await client.pull({ model, stream: true });
        for await (const step of steps) yield progress(step);
      } catch (error) {
        throw new NodeFault(denialOf(provider, error, signal));
      } finally {
        end();
      }
    },

    close() {
      unsubscribe();
      for (const each of under) each.abort();
      own.destroy().catch(() => {}); // rejects when it was closed before, which is what is wanted
    },
  };
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const count = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;

function listed(each: unknown): Listed {
  const { name, size, modified_at, details } = record(each);
  const { parameter_size, quantization_level } = record(details);
  return {
    name: shown(name),
    bytes: count(size),
    modifiedAt: shown(modified_at),
    parameters: shown(parameter_size),
    quantization: shown(quantization_level),
  };
}

function progress(step: unknown): Progress {
  const { status, completed, total } = record(step);
  const totalBytes = count(total);
  return { status: shown(status), completedBytes: Math.min(count(completed), totalBytes), totalBytes };
}

const notOllama = ({ name, kind }: Provider): Denial =>
  deny(400, 'not-ollama', `${name} is of kind ${kind}`, 'Models are listed and pulled on ollama nodes only.');

const badModel = (model: string, cloud: string | undefined): Denial =>
  deny(
    400,
    'bad-model-name',
    cloud === undefined ? `${quoted(model)} is no name of a model` : `${quoted(model)}: ${cloud}`,
    'A name looks like llama3.2:3b or hf.co/NAME/MODEL.',
  );
