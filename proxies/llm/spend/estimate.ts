/** How many tokens a request may come to, before anybody has counted them: what a reservation is made of. proxy.ts asks; price.ts turns it into money. */

export type Estimate = { in: number; out: number };

export type Asked = {
  bodyBytes: number;
  /** The body without its attachments (long base64 strings). Absent: it has none. */
  textBytes?: number | undefined;
  /** What the request itself allows the answer to be; null when it says nothing, 0 where nothing is generated (embeddings, counting). */
  maxOutputTokens: number | null;
  /** The longest input that the model takes. */
  contextTokens?: number | undefined;
  /** The longest answer that the model gives. */
  ceilingTokens?: number | undefined;
};

/** English prose and JSON have about four bytes to a token (OpenAI, "What are tokens and how to count them?"). Other scripts have fewer, JSON's quotes and keys have more: it evens out. */
const textBytesPerToken = 4;

/** An image of 100 kB in base64 is about 1,600 tokens (Anthropic, "Vision": width x height / 750), a minute of MP3 less, a PDF of pure text more. Counted as text it would be 25,000 and block the agent. */
const attachedBytesPerToken = 64;

/** For an answer without a bound. All that is left of a budget, as elsewhere (litellm PR 27509), blocks a whole team at $0.14 of $2000. */
const usualOutputTokens = 16_384;

/** No answer is longer. What is more is a number that nobody means, and must not stand on the record: the sums are made of it after a restart. */
const mostTokens = 1_000_000_000;

/** Whole numbers. A request that turns out larger is charged in full; what it is over blocks the next. */
export function estimate(asked: Asked): Estimate {
  const text = Math.min(asked.textBytes ?? asked.bodyBytes, asked.bodyBytes);
  const tokens = Math.ceil(text / textBytesPerToken + (asked.bodyBytes - text) / attachedBytesPerToken);
  const most = Math.min(asked.ceilingTokens ?? mostTokens, asked.contextTokens ?? mostTokens);
  return {
    in: Math.min(tokens, asked.contextTokens ?? Infinity),
    out: Math.min(Math.ceil(asked.maxOutputTokens ?? usualOutputTokens), most),
  };
}
