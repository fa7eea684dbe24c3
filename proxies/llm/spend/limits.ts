/** What one agent may use of the llm door, and what it may use when nobody has said. The configuration schema and spend.ts read it. */

/** null: not limited. Days and months are UTC. */
export type Limits = {
  usdPerDay: number | null;
  usdPerMonth: number | null;
  /** Tokens of models that are not free, in and out. */
  tokensPerDay: number | null;
  tokensPerMonth: number | null;
  requestsPerMinute: number | null;
  /** Tokens of every model. */
  tokensPerMinute: number | null;
  /** Requests for a model within one turn of the conversation. */
  roundsPerTurn: number | null;
  /** The same request, this many times in a row within an hour. */
  repeats: number | null;
  /** What the agent makes us write to the ledger. */
  auditMbPerDay: number | null;
  bodyMb: number;
};

export const defaultLimits: Limits = {
  // A mistake of a day costs a lunch; an owner who wants more says so once.
  usdPerDay: 5,
  // Thirty-one days at the limit of a day bound the month already.
  usdPerMonth: null,
  // Money is the measure where there are prices; tokens are for logins that are billed as a quota.
  tokensPerDay: null,
  tokensPerMonth: null,
  // Two a second: a tool loop does one in several seconds, a runaway hundreds.
  requestsPerMinute: 120,
  // A turn resends its whole history, so that honest use varies a hundredfold; requests and money bound it.
  tokensPerMinute: null,
  // Long coding turns take some tens of rounds; a turn that has asked two hundred times is lost.
  roundsPerTurn: 200,
  // SDKs repeat a failed request two or three times, a polling agent its question every few minutes.
  repeats: 20,
  // A hundred long sessions, blobs stored once; a card of 32 GB holds four months of it.
  auditMbPerDay: 256,
  // The providers' own limits are 20 to 50 MB.
  bodyMb: 32,
};
