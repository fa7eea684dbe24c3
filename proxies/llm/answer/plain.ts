/** Answers that no model made: lists of models, what a model is, a count of tokens. Driven by reader.ts. */
import type { Fold } from './fold.ts';
import { errorOf, modelOf, type Obj } from './value.ts';

/** `free`: to count tokens consumes none. */
export function plainAnswer(free: boolean): Fold {
  let seen: Obj = {};
  return {
    piece(value) {
      seen = value;
    },
    whole(value) {
      seen = value;
    },
    facts: () => ({
      tokens: free && errorOf(seen) === undefined ? { in: 0, out: 0 } : undefined,
      model: modelOf(seen.model),
      error: errorOf(seen),
    }),
    ended: () => true,
    message: () => seen,
  };
}
