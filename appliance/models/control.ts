/** The `models` socket of the llm process: how models stand, the numbers for Prometheus, logins, nodes and what they hold. The operator's CLI and the controller call it. */
import { z } from 'zod';
import type { Denial } from '../../proxies/llm/denial.ts';
import { Problem } from '../problem.ts';
import { type Routes, Text } from '../socket.ts';

export type LoginBegun = {
  /** Where the operator goes with a browser, and what is typed there. */
  verificationUri: string;
  userCode: string;
  /** ISO: until when the code is good. */
  expiresAt: string;
  /** Resolves when the login is there; rejects with the reason. */
  done: Promise<unknown>;
};

export type NodeListing = {
  provider: string;
  kind: string;
  up: boolean | null;
  /** What it holds, as it says; `why` instead where it did not answer. */
  models: { name: string; bytes?: number | undefined; parameters?: string | undefined }[];
  why?: string | undefined;
};

export type PullProgress = {
  status: string;
  completedBytes?: number | undefined;
  totalBytes?: number | undefined;
};

export type ControlParts = {
  standing(): unknown;
  /** Prometheus text. */
  metrics(): Promise<{ type: string; text: string }>;
  beginLogin(provider: string): Promise<LoginBegun>;
  nodes(signal: AbortSignal): Promise<NodeListing[]>;
  pull(provider: string, model: string, signal: AbortSignal): AsyncIterable<PullProgress>;
};

const named = z.strictObject({ provider: z.string().min(1).max(70) });
const pulled = z.strictObject({ provider: z.string().min(1).max(70), model: z.string().min(1).max(200) });

function parsed<S extends z.ZodType>(schema: S, body: unknown): z.infer<S> {
  const read = schema.safeParse(body);
  if (read.success) return read.data;
  throw new Problem('bad-request', 400, 'this is not understood', z.prettifyError(read.error));
}

export function controlRoutes(parts: ControlParts): Routes {
  return {
    'GET /standing': () => parts.standing(),
    'GET /metrics': async () => {
      const { type, text } = await parts.metrics();
      return new Text(type, text);
    },
    'GET /nodes': async ({ signal }) => ({ nodes: await parts.nodes(signal) }),
    // NDJSON: the code to type first, and a second line when the login is there.
    'POST /login': async ({ body }) => loginLines(await parts.beginLogin(parsed(named, body).provider)),
    'POST /pull': ({ body, signal }) => {
      const { provider, model } = parsed(pulled, body);
      return pullLines(parts.pull(provider, model, signal));
    },
  };
}

/** What a node does wrong is told in its own words, not as a fault of ours. */
async function* pullLines(progress: AsyncIterable<PullProgress>): AsyncGenerator<PullProgress> {
  try {
    yield* progress;
  } catch (error) {
    // As route/pull.ts throws it.
    const { denial } = error as { denial?: Denial };
    if (denial === undefined) throw error;
    throw new Problem(denial.rule, denial.status, denial.reason, denial.hint, error);
  }
}

async function* loginLines(login: LoginBegun): AsyncGenerator<Record<string, unknown>> {
  const { done, ...code } = login;
  done.catch(() => {}); // awaited below; a caller who left in between must not end the process
  yield { event: 'code', ...code };
  await done;
  yield { event: 'done' };
}
