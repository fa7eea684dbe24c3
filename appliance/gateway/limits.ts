/** What one answer of a guest may cost. guest.ts and answer.ts keep to it; tests give smaller ones. */
export type GuestLimits = {
  headerBytes: number;
  /** Longest without a complete event, the first included. Time in which an approval waits does not count. */
  idleMs: number;
  /** Longest in all, counted likewise. */
  totalMs: number;
  bytes: number;
  eventChars: number;
  textChars: number;
  jsonDepth: number;
};

export const guestLimits: GuestLimits = {
  headerBytes: 8 * 1024,
  idleMs: 5 * 60_000, // a local model may take minutes to load and to read a long prompt
  totalMs: 60 * 60_000,
  bytes: 64 * 1024 * 1024, // an event has some 200 bytes around each word
  eventChars: 256 * 1024,
  textChars: 512 * 1024, // over 100,000 tokens: no model says more in one answer
  jsonDepth: 32,
};
