/** Anthropic's messages: content blocks grow by deltas into one message. Driven by reader.ts. */
import { type Fold, type Growing, grow, type Ration } from './fold.ts';
import { Text } from './text.ts';
import { anthropicTokens, billable } from './tokens.ts';
import { errorOf, indexOf, listOf, modelOf, type Obj, objectOf, parsed, textOf, wordOf } from './value.ts';

/** Deltas whose field is not called as in the block that it goes into. */
const fieldOf: Record<string, string> = { partial_json: 'input' };

export function anthropicMessages(ration: Ration): Fold {
  let base: Obj | undefined;
  let failed: unknown;
  const ending: Growing = new Map();
  const blocks = new Map<number, Growing>();
  let [first, last]: (Obj | undefined)[] = [];
  let [error, stop, model]: (string | undefined)[] = [];
  let done = false;
  let spoke = false;
  let final = false;

  const addDelta = (block: Growing, delta: Obj, bytes: number): void => {
    for (const name in delta) {
      if (name === 'type') continue;
      const value = delta[name];
      if (name === 'citation') grow(block, 'citations', [value], ration, bytes);
      // The whole signature comes in one delta.
      else if (name === 'signature') ration.take(bytes) && block.set(name, value);
      else if (name === 'partial_json' && !(block.get('input') instanceof Text)) {
        const beginning = textOf(value) ?? '';
        if (ration.take(beginning.length)) block.set('input', new Text(beginning));
      } else
        grow(block, Object.hasOwn(fieldOf, name) ? (fieldOf[name] as string) : name, value, ration, bytes);
    }
  };

  return {
    piece(value, _type, bytes) {
      if (value.type === 'message_start') {
        base = ration.take(bytes) ? objectOf(value.message) : {};
        first = objectOf(objectOf(value.message)?.usage);
        model = modelOf(objectOf(value.message)?.model);
      } else if (value.type === 'content_block_start') {
        const index = indexOf(value.index);
        if (index !== undefined && ration.take(bytes))
          blocks.set(index, new Map(Object.entries(objectOf(value.content_block) ?? {})));
      } else if (value.type === 'content_block_delta') {
        const block = blocks.get(indexOf(value.index) ?? -1);
        if (block) spoke = true;
        if (block) addDelta(block, objectOf(value.delta) ?? {}, bytes);
      } else if (value.type === 'message_delta') {
        last = objectOf(value.usage) ?? last;
        const delta = objectOf(value.delta) ?? {};
        stop = wordOf(delta.stop_reason) ?? stop;
        final ||= last !== undefined && stop !== undefined;
        for (const name in delta) if (ration.take(bytes)) ending.set(name, delta[name]);
        if (value.context_management) ending.set('context_management', value.context_management);
      } else if (value.type === 'message_stop') {
        done = true;
      } else if (value.type === 'error' || value.error) {
        error ??= errorOf(value) ?? 'error';
        failed ??= value;
      }
    },
    whole(value) {
      error = errorOf(value);
      stop = wordOf(value.stop_reason);
      model = modelOf(value.model);
      first = objectOf(value.usage);
      spoke = listOf(value.content).length > 0;
    },
    facts: () => ({ final, tokens: billable(anthropicTokens([first, last]), spoke), stop, model, error }),
    ended: () => done,
    message() {
      if (base === undefined) return failed;
      const seen = Object.entries(last ?? {}).filter(([, value]) => value !== null);
      return {
        ...base,
        content: [...blocks].sort(([one], [other]) => one - other).map(([, block]) => shown(block)),
        ...Object.fromEntries(ending),
        usage: { ...first, ...Object.fromEntries(seen) },
        ...(failed === undefined ? {} : { error: objectOf(failed)?.error }),
      };
    },
  };
}

/** The input of a tool comes as text. Where a cut left half of it, the text is what there is. */
function shown(block: Growing): Obj {
  const made: Obj = Object.fromEntries(block);
  if (made.input instanceof Text) {
    const input = made.input.toString();
    made.input = input === '' ? {} : (parsed(input) ?? input);
  }
  return made;
}
