/** Ollama's chat and generate: the lines of a stream become one answer. Driven by reader.ts. */
import { type Fold, type Growing, grow, type Ration } from './fold.ts';
import { ollamaTokens } from './tokens.ts';
import { errorOf, modelOf, type Obj, objectOf, wordOf } from './value.ts';

/** Lists and texts of the lines of /api/generate that go on from one line to the next; the other fields are the last line's. */
const grows = new Set(['response', 'thinking', 'logprobs', 'tool_calls']);

export function ollamaAnswer(ration: Ration): Fold {
  const message: Growing = new Map();
  const fields: Growing = new Map();
  let last: Obj = {};
  let [error, model]: (string | undefined)[] = [];
  let [done, came, chatted] = [false, false, false];

  return {
    piece(value, _type, bytes) {
      if (done) return;
      came = true;
      last = value;
      error ??= errorOf(value);
      model ??= modelOf(value.model);
      done = value.done === true;
      for (const name of grows) if (value[name] !== undefined) grow(fields, name, value[name], ration, bytes);
      const part = objectOf(value.message);
      if (part === undefined) return;
      chatted = true;
      for (const name in part) {
        if (name === 'role') message.set(name, part[name]);
        else grow(message, name, part[name], ration, bytes);
      }
    },
    whole(value) {
      last = value;
      error = errorOf(value);
      model = modelOf(value.model);
    },
    facts: () => ({ tokens: ollamaTokens(last), stop: wordOf(last.done_reason), model, error }),
    ended: () => done,
    message: () =>
      came
        ? {
            ...last,
            ...(chatted ? { message: Object.fromEntries(message) } : {}),
            ...Object.fromEntries(fields),
          }
        : undefined,
  };
}
