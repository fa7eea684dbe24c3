/** The keeper as the controller sees it: the state, the press, the re-arm. Pages, approvals and decide.ts ask here; the answer is parsed at this edge. */
import { z } from 'zod';
import { call } from '../socket.ts';
import { moment } from './moment.ts';

const step = z.object({
  name: z.string(),
  ms: z.number().describe('after the press'),
  ok: z.boolean(),
  detail: z.string().nullish(),
});

const receiptSchema = z.object({
  id: z.string(),
  at: moment,
  reason: z.string(),
  by: z.string(),
  state: z.string(),
  steps: z.array(step),
});
export type Receipt = z.infer<typeof receiptSchema>;

const stateSchema = z.object({
  state: z.enum(['armed', 'closed', 'killed']),
  since: moment,
  reason: z.string().nullish(),
  epoch: z.union([z.string(), z.number()]).transform(String).describe('another one after each re-arm'),
  receipt: receiptSchema.nullish().describe('of the last press, whoever made it'),
});

const rearmedSchema = z.object({ state: z.string(), steps: z.array(step).default([]) });
export type Rearmed = z.infer<typeof rearmedSchema>;

/** `epoch: ''` and `closed` when the keeper does not answer: without it no lease lives, so that is what is true. */
export type Arming = {
  state: 'armed' | 'closed' | 'killed';
  epoch: string;
  sinceMs: number | null;
  reason: string | null;
  receipt: Receipt | null;
  answers: boolean;
};

export type Keeper = {
  arming(): Promise<Arming>;
  /** Throws a Problem when nothing took the press. */
  trip(reason: string, by: string): Promise<Receipt>;
  rearm(reason: string, by: string): Promise<Rearmed>;
};

const askMs = 1_000; // it answers in one or two; a page does not wait for a stuck one
const tripMs = 30_000; // worlds, containers and the latch on a slow card; the doors closed long before
const rearmMs = 120_000; // worlds are made anew

export function createKeeper(sockets: { trip: string; rearm: string }): Keeper {
  return {
    async arming() {
      try {
        const { state, since, reason, epoch, receipt } = stateSchema.parse(
          await call(sockets.trip, 'GET /state', undefined, { timeoutMs: askMs }),
        );
        return {
          state,
          epoch,
          // The moment of the press, as its receipt says it: the latch is written a little later.
          sinceMs: state === 'killed' ? (receipt?.at ?? since) : since,
          reason: reason ?? null,
          receipt: receipt ?? null,
          answers: true,
        };
      } catch (error) {
        const strange = error instanceof z.ZodError;
        const reason = strange
          ? 'The keeper says something that is not understood.'
          : 'The keeper does not answer.';
        return { state: 'closed', epoch: '', sinceMs: null, reason, receipt: null, answers: false };
      }
    },
    trip: async (reason, by) =>
      receiptSchema.parse(await call(sockets.trip, 'POST /trip', { reason, by }, { timeoutMs: tripMs })),
    rearm: async (reason, by) =>
      rearmedSchema.parse(await call(sockets.rearm, 'POST /rearm', { reason, by }, { timeoutMs: rearmMs })),
  };
}
