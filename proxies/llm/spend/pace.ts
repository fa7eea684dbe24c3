/** How fast and how often one agent asks: requests and tokens a minute, rounds in a turn, the same request again and again. Held in memory: it does not outlive a restart. spend.ts holds one. */
import type { Denial } from '../denial.ts';
import type { Limits } from './limits.ts';
import { createRounds, createSliding } from './rate.ts';
import { timeText, tooMany } from './refused.ts';
import { createRepeats } from './repeats.ts';

export type Ask = { turn: string | null; digest: string };

export type Pace = {
  refuses(ask: Ask, limits: Limits, nowMs: number): Denial | undefined;
  count(ask: Ask, limits: Limits, nowMs: number): void;
  /** Tokens that a request is expected to use, until they are counted. */
  expect(id: string, tokens: number, nowMs: number): void;
  /** undefined: nobody counted them. */
  counted(id: string, tokens: number | undefined): void;
  lastMinute(nowMs: number): { requests: number; tokens: number };
};

export function createPace(agent: string): Pace {
  const requests = createSliding();
  const tokens = createSliding();
  const rounds = createRounds();
  const repeats = createRepeats();
  const uses = new Map<string, ReturnType<typeof tokens.add>>();
  /** Up to the next whole second, when it is true. */
  const after = (ms: number) => timeText(ms + 999);

  return {
    refuses({ turn, digest }, { requestsPerMinute, tokensPerMinute, roundsPerTurn, repeats: same }, nowMs) {
      const [sent, used] = [requests.total(nowMs), tokens.total(nowMs)];
      if (requestsPerMinute !== null && sent >= requestsPerMinute)
        return tooMany(
          agent,
          'rate-requests-minute',
          'requestsPerMinute',
          `${agent} has sent ${sent} of ${requestsPerMinute} requests in the last minute`,
          `The next may come at ${after(requests.frees(nowMs))}.`,
        );
      if (tokensPerMinute !== null && used >= tokensPerMinute)
        return tooMany(
          agent,
          'rate-tokens-minute',
          'tokensPerMinute',
          `${agent} has used ${used} of ${tokensPerMinute} tokens in the last minute`,
          `The first of them are forgotten at ${after(tokens.frees(nowMs))}.`,
        );
      if (roundsPerTurn !== null && turn !== null && rounds.of(turn) >= roundsPerTurn)
        return tooMany(
          agent,
          'rounds-per-turn',
          'roundsPerTurn',
          `${agent} has asked a model ${rounds.of(turn)} of ${roundsPerTurn} times in this turn`,
          'It resets with the next message to the agent.',
        );
      const until = same === null ? undefined : repeats.until(digest, same, nowMs);
      if (until === undefined) return undefined;
      return tooMany(
        agent,
        'repeats',
        'repeats',
        `${agent} has sent the same request ${same} times in a row`,
        `Another request may come at once, this one at ${after(until)}.`,
      );
    },
    count({ turn, digest }, limits, nowMs) {
      if (limits.requestsPerMinute !== null) requests.add(1, nowMs);
      if (turn !== null) rounds.count(turn);
      if (limits.repeats !== null) repeats.count(digest, limits.repeats, nowMs);
    },
    expect(id, amount, nowMs) {
      uses.set(id, tokens.add(amount, nowMs));
    },
    counted(id, amount) {
      const use = uses.get(id);
      if (use && amount !== undefined) tokens.correct(use, amount);
      uses.delete(id);
    },
    lastMinute: (nowMs) => ({ requests: requests.total(nowMs), tokens: tokens.total(nowMs) }),
  };
}
