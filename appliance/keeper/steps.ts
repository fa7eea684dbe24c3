/** The steps of a press or a re-arm as a receipt lists them: each tried, timed from the beginning, and never in the way of the next. The keeper's trip and the launcher's part of it use it. */
export type Step = { name: string; ms: number; ok: boolean; detail?: string };

export type Steps = {
  /** What the act returns as text becomes the detail; what it throws makes the step a failed one. */
  take(name: string, act: () => unknown): Promise<void>;
  taken: Step[];
};

export function createSteps(clock: () => number = () => performance.now()): Steps {
  const began = clock();
  const taken: Step[] = [];
  const note = (name: string, ok: boolean, detail: unknown): void => {
    const ms = Math.round((clock() - began) * 1000) / 1000;
    taken.push({ name, ms, ok, ...(typeof detail === 'string' ? { detail } : {}) });
  };
  return {
    taken,
    async take(name, act) {
      try {
        note(name, true, await act());
      } catch (error) {
        note(name, false, error instanceof Error ? error.message : String(error));
      }
    },
  };
}
