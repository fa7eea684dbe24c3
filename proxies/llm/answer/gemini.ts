/** Gemini's generateContent: the responses of a stream become one. Driven by reader.ts. */
import type { Fold, Ration } from './fold.ts';
import { billable, geminiTokens } from './tokens.ts';
import { errorOf, indexOf, listOf, modelOf, type Obj, objectOf, wordOf } from './value.ts';

type Candidate = { fields: Map<string, unknown>; role: unknown; parts: Obj[] };

/** Over what candidateCount may be. */
const maxCandidates = 128;
const maxFields = 64;

export function geminiGenerate(ration: Ration): Fold {
  const head = new Map<string, unknown>();
  const candidates = new Map<number, Candidate>();
  let usage: Obj | undefined;
  let [error, stop, model, blocked]: (string | undefined)[] = [];
  let came = false;
  let spoke = false;

  const see = (value: Obj): void => {
    error ??= errorOf(value);
    model ??= modelOf(value.modelVersion);
    const counted = objectOf(value.usageMetadata);
    if (counted && (usage === undefined || geminiTokens(counted))) usage = counted;
    blocked ??= wordOf(objectOf(value.promptFeedback)?.blockReason);
  };

  const add = (value: Obj, bytes: number): void => {
    const index = indexOf(value.index ?? 0);
    if (index === undefined || index >= maxCandidates) return;
    let into = candidates.get(index);
    if (into === undefined) {
      into = { fields: new Map(), role: 'model', parts: [] };
      candidates.set(index, into);
    }
    for (const name in value) {
      if (name === 'content' || name === 'index' || value[name] === null) continue;
      if (into.fields.size < maxFields && ration.take(name === 'finishReason' ? 16 : bytes))
        into.fields.set(name, value[name]);
    }
    const reason = wordOf(value.finishReason);
    if (reason !== undefined && (index === 0 || stop === undefined)) stop = reason;
    const content = objectOf(value.content);
    into.role = content?.role ?? into.role;
    for (const each of listOf(content?.parts)) {
      const part = objectOf(each);
      spoke ||= part !== undefined && part.text !== '';
      const last = into.parts.at(-1);
      if (part === undefined) continue;
      if (!isText(part)) {
        if (ration.take(bytes)) into.parts.push(part);
      } else if (ration.take((part.text as string).length)) {
        if (last && isText(last) && last.thought === part.thought) last.text = `${last.text}${part.text}`;
        else into.parts.push({ ...part });
      }
    }
  };

  return {
    piece(value, _type, bytes) {
      came = true;
      see(value);
      for (const name in value) {
        if (name === 'candidates' || name === 'usageMetadata' || value[name] === null) continue;
        if (!head.has(name) && head.size < maxFields && ration.take(bytes)) head.set(name, value[name]);
      }
      for (const each of listOf(value.candidates)) add(objectOf(each) ?? {}, bytes);
    },
    whole(value) {
      see(value);
      const first = objectOf(listOf(value.candidates)[0]);
      stop = wordOf(first?.finishReason);
      spoke = listOf(objectOf(first?.content)?.parts).length > 0;
    },
    facts: () => ({ tokens: billable(geminiTokens(usage), spoke), stop: stop ?? blocked, model, error }),
    ended: () => stop !== undefined || blocked !== undefined,
    message() {
      if (!came) return undefined;
      if (candidates.size === 0 && error !== undefined) return Object.fromEntries(head);
      return {
        ...(candidates.size === 0
          ? {}
          : {
              candidates: [...candidates]
                .sort(([one], [other]) => one - other)
                .map(([index, { fields, role, parts }]) => ({
                  content: { parts, role },
                  ...Object.fromEntries(fields),
                  index,
                })),
            }),
        ...(usage === undefined ? {} : { usageMetadata: usage }),
        ...Object.fromEntries(head),
      };
    },
  };
}

/** Nothing but text, thought or not. A part with a signature must stay what it is: it has to be sent back so. */
function isText(part: Obj): boolean {
  if (typeof part.text !== 'string') return false;
  for (const name in part) if (name !== 'text' && name !== 'thought') return false;
  return true;
}
