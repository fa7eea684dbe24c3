/** Chat completions, of OpenAI and of every server that speaks them: chunks become one completion. Driven by reader.ts. */
import { addDelta, type Choice, newChoice, shownChoice } from './choice.ts';
import { type Fold, type Growing, grow, type Ration } from './fold.ts';
import { billable, openaiTokens, statedCost } from './tokens.ts';
import { errorOf, indexOf, listOf, modelOf, type Obj, objectOf, wordOf } from './value.ts';

/** Far over what `n` may be. */
const maxChoices = 128;

export function openaiChat(ration: Ration): Fold {
  const head: Growing = new Map();
  const choices = new Map<number, Choice>();
  let usage: Obj | undefined;
  let error: string | undefined;
  let stop: string | undefined;
  let model: string | undefined;
  let done = false;
  let came = false;
  let spoke = false;
  let final = false;

  /** A null or an empty object behind a count does not undo it. */
  const count = (value: unknown): boolean => {
    const counted = objectOf(value);
    const counts = counted !== undefined && (usage === undefined || openaiTokens(counted) !== undefined);
    if (counts) usage = counted;
    return counts;
  };
  const see = (value: Obj): boolean => {
    error ??= errorOf(value);
    model ??= modelOf(value.model);
    // Groq puts the usage of a stream into a field of its own.
    return count(value.usage ?? objectOf(value.x_groq)?.usage);
  };

  return {
    piece(value, type, bytes) {
      if (done) return;
      if (type === '[DONE]') {
        done = true;
        return;
      }
      came = true;
      let counted = see(value);
      for (const name in value) {
        if (name === 'choices' || name === 'usage' || name === 'object' || name === 'obfuscation') continue;
        if (name === 'x_groq' || value[name] === null || head.has(name)) continue;
        grow(head, name, value[name], ration, bytes);
      }
      for (const each of listOf(value.choices)) {
        const choice = objectOf(each);
        const index = indexOf(choice?.index ?? 0);
        if (choice === undefined || index === undefined || index >= maxChoices) continue;
        // OpenRouter's place for an error, and Moonshot's for the usage.
        error ??= errorOf(choice);
        counted = count(choice.usage) || counted;
        let into = choices.get(index);
        if (into === undefined) {
          into = newChoice();
          choices.set(index, into);
        }
        addDelta(into, objectOf(choice.delta) ?? objectOf(choice.message) ?? {}, ration, bytes);
        spoke ||= into.tools.length > 0 || !!into.message.get('content');
        const logprobs = objectOf(choice.logprobs);
        if (logprobs) for (const name in logprobs) grow(into.logprobs, name, logprobs[name], ration, bytes);
        const finish = wordOf(choice.finish_reason);
        if (typeof choice.finish_reason === 'string' && finish !== undefined) {
          into.finish = finish;
          if (index === 0 || stop === undefined) stop = finish;
        }
      }
      // Some servers count on in every chunk: only behind the last word of every choice a count is the last.
      if (counted) final = [...choices.values()].every((choice) => choice.finish !== null);
    },
    whole(value) {
      see(value);
      const first = objectOf(listOf(value.choices)[0]);
      if (usage === undefined) count(first?.usage);
      if (first) error ??= errorOf(first);
      stop = wordOf(first?.finish_reason);
      const message = objectOf(first?.message);
      spoke = !!message?.content || listOf(message?.tool_calls).length > 0;
    },
    facts: () => ({
      final,
      tokens: billable(openaiTokens(usage), spoke),
      costUsd: statedCost(usage),
      stop,
      model,
      error,
    }),
    ended: () => done,
    message() {
      if (!came) return undefined;
      if (choices.size === 0 && error !== undefined) return { error: head.get('error') };
      const { id, ...rest } = Object.fromEntries(head);
      return {
        ...(id === undefined ? {} : { id }),
        object: 'chat.completion',
        ...rest,
        choices: [...choices]
          .sort(([one], [other]) => one - other)
          .map(([index, choice]) => ({ index, ...shownChoice(choice) })),
        ...(usage === undefined ? {} : { usage }),
      };
    },
  };
}
