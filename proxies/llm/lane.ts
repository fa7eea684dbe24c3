/** One large thing at a time over all agents of this process: what holds megabytes for a moment waits for its turn here. Made by processes/llm.ts; used by proxy.ts and answer/capture.ts. */

/** In the order of asking. A turn lasts until the work is done, or says that it holds nothing large any more. */
export type Lane = <T>(work: (free: () => void) => Promise<T>) => Promise<T>;

/** Two, since a request must not wait for the record of what others were answered. */
export type Lanes = { asked: Lane; answered: Lane };

export const createLanes = (): Lanes => ({ asked: createLane(), answered: createLane() });

function createLane(): Lane {
  let last: Promise<void> = Promise.resolve();
  return (work) => {
    const { promise, resolve: free } = Promise.withResolvers<void>();
    const done = last.then(() => work(free));
    last = promise;
    done.catch(() => {}).finally(free); // whoever asked hears of a fault
    return done;
  };
}
