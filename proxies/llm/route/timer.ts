/** A wait that a test can turn by hand. Used by node.ts, probe.ts and keys/login.ts. */

/** Calls `then` once after `ms`, unless the returned function is called before. */
export type Timer = (ms: number, then: () => void) => () => void;

/** The real one. It keeps no process alive: what waits here is never the only thing that runs. */
export const timer: Timer = (ms, then) => {
  const handle = setTimeout(then, ms);
  handle.unref();
  return () => clearTimeout(handle);
};

/** Resolves after `ms`, or at once when the signal aborts; it never rejects. */
export function sleep(ms: number, signal: AbortSignal, wait: Timer = timer): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) return done();
    const cancel = wait(ms, () => {
      signal.removeEventListener('abort', gone);
      done();
    });
    const gone = (): void => {
      cancel();
      done();
    };
    signal.addEventListener('abort', gone, { once: true });
  });
}
