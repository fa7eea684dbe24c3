/** OpenAI's responses: the last event holds the whole; a stream that is cut is put together from its items and deltas. Driven by reader.ts. */
import type { Fold, Ration } from './fold.ts';
import { Text } from './text.ts';
import { billable, openaiTokens, statedCost } from './tokens.ts';
import { errorOf, indexOf, listOf, modelOf, type Obj, objectOf, textOf, wordOf } from './value.ts';

type Begun = { item: number; part: number; kind: string; text: Text };

const openings = new Set(['response.created', 'response.in_progress', 'response.queued']);
const endings = new Set(['response.completed', 'response.incomplete', 'response.failed']);

/** Where the text of a delta belongs in its item, by the event's name without `response.` and `.delta`. */
const inContent: Record<string, (text: Text) => Obj> = {
  output_text: (text) => ({ type: 'output_text', text }),
  refusal: (refusal) => ({ type: 'refusal', refusal }),
  reasoning_text: (text) => ({ type: 'reasoning_text', text }),
};
const inField: Record<string, string> = {
  function_call_arguments: 'arguments',
  mcp_call_arguments: 'arguments',
  custom_tool_call_input: 'input',
  code_interpreter_call_code: 'code',
};

export function openaiResponses(ration: Ration): Fold {
  let base: Obj | undefined;
  let final: Obj | undefined;
  let failed: Obj | undefined;
  const items = new Map<number, Obj>();
  const texts = new Map<string, Begun>();
  let error: string | undefined;

  const addText = (value: Obj, kind: string): void => {
    const [item, delta] = [indexOf(value.output_index), textOf(value.delta)];
    const part = indexOf(value.content_index ?? value.summary_index ?? 0);
    if (item === undefined || part === undefined || delta === undefined || !ration.take(delta.length)) return;
    const key = `${item} ${kind} ${part}`;
    const before = texts.get(key);
    if (before) before.text.add(delta);
    else if (texts.size < 4096) texts.set(key, { item, part, kind, text: new Text(delta) });
  };

  const output = (): Obj[] =>
    [...items].sort(([one], [other]) => one - other).map(([index, item]) => filled(item, index, texts));

  return {
    piece(value, _type, bytes) {
      const type = textOf(value.type) ?? '';
      if (final !== undefined) return;
      if (type.endsWith('.delta')) {
        addText(value, type.slice('response.'.length, -'.delta'.length));
      } else if (openings.has(type)) {
        if (ration.take(bytes)) base = objectOf(value.response) ?? base;
      } else if (type === 'response.output_item.added' || type === 'response.output_item.done') {
        const index = indexOf(value.output_index);
        const item = objectOf(value.item);
        if (index === undefined || item === undefined || !ration.take(bytes)) return;
        items.set(index, item);
        if (type.endsWith('done'))
          for (const [key, text] of texts) if (text.item === index) texts.delete(key);
      } else if (endings.has(type)) {
        final = objectOf(value.response) ?? {};
        error ??= type === 'response.failed' ? (errorOf(final) ?? 'error') : undefined;
      } else if (type === 'error' || value.error) {
        failed ??= value;
        error ??= errorOf(value) ?? wordOf(value.code) ?? 'error';
      }
    },
    whole(value) {
      final = value;
      error = errorOf(value);
    },
    facts() {
      const it = final ?? base ?? {};
      const usage = objectOf(it.usage);
      const stop = wordOf(objectOf(it.incomplete_details)?.reason) ?? (final ? wordOf(it.status) : undefined);
      return {
        tokens: billable(openaiTokens(usage), texts.size > 0 || listOf(it.output).length > 0),
        costUsd: statedCost(usage),
        stop,
        model: modelOf(it.model),
        error,
      };
    },
    ended: () => final !== undefined,
    message() {
      // Some servers of the format send their last event without the items that they have sent.
      if (final !== undefined)
        return listOf(final.output).length === 0 && items.size > 0 ? { ...final, output: output() } : final;
      if (base === undefined && items.size === 0 && texts.size === 0) return failed;
      return { ...base, output: output(), ...(failed === undefined ? {} : { error: failed }) };
    },
  };
}

/** An item that was not done, with the texts that had come for it. */
function filled(item: Obj, index: number, texts: Map<string, Begun>): Obj {
  const made: Obj = { ...item };
  for (const { item: of, part, kind, text } of texts.values()) {
    if (of !== index) continue;
    const [content, field] = [
      Object.hasOwn(inContent, kind) ? inContent[kind] : undefined,
      Object.hasOwn(inField, kind) ? inField[kind] : undefined,
    ];
    if (field !== undefined) made[field] = text;
    else if (kind === 'reasoning_summary_text')
      made.summary = placed(made.summary, part, { type: 'summary_text', text });
    else if (content !== undefined) made.content = placed(made.content, part, content(text));
  }
  return made;
}

const placed = (list: unknown, at: number, value: Obj): unknown[] => {
  const made = [...listOf(list)];
  made[Math.min(at, made.length)] = value;
  return made;
};
