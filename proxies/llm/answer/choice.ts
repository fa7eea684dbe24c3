/** One choice of a chat completion as its deltas come. Used by openaichat.ts. */
import { type Growing, grow, type Ration } from './fold.ts';
import { Text } from './text.ts';
import { indexOf, listOf, type Obj, objectOf, textOf } from './value.ts';

type Tool = { id: string | undefined; fields: Growing; called: Growing; kind: 'function' | 'custom' };

export type Choice = {
  message: Growing;
  logprobs: Growing;
  tools: Tool[];
  toolAt: Map<number, Tool>;
  audioBytes: number;
  finish: string | null;
};

/** More than any model calls at once. */
const maxTools = 1024;

export const newChoice = (): Choice => ({
  message: new Map<string, unknown>([
    ['role', 'assistant'],
    ['content', null],
  ]),
  logprobs: new Map(),
  tools: [],
  toolAt: new Map(),
  audioBytes: 0,
  finish: null,
});

export function addDelta(choice: Choice, delta: Obj, ration: Ration, bytes: number): void {
  for (const name in delta) {
    const value = delta[name];
    if (name === 'role') {
      if (typeof value === 'string' && value !== '') choice.message.set('role', value.slice(0, 64));
    } else if (name === 'tool_calls') {
      for (const each of listOf(value)) addTool(choice, objectOf(each) ?? {}, ration, bytes);
    } else if (name === 'function_call') {
      const call = fieldsOf(choice.message, 'function_call');
      const part = objectOf(value) ?? {};
      for (const field in part) grow(call, field, part[field], ration, bytes);
    } else if (name === 'audio') {
      addAudio(choice, objectOf(value) ?? {}, ration, bytes);
    } else if (name === 'reasoning_details') {
      addDetails(choice.message, listOf(value), ration, bytes);
    } else {
      grow(choice.message, name, value, ration, bytes);
    }
  }
}

const fieldsOf = (within: Growing, name: string): Growing => {
  const before = within.get(name);
  if (before instanceof Map) return before;
  const made: Growing = new Map();
  within.set(name, made);
  return made;
};

/**
 * The deltas of a call have its index. Some servers leave it out, and Gemini's compatible path gives every call the index 0: a new
 * id with a new name is a new call.
 */
function addTool(choice: Choice, call: Obj, ration: Ration, bytes: number): void {
  const index = indexOf(call.index);
  const id = textOf(call.id) || undefined;
  const part = objectOf(call.function) ?? objectOf(call.custom) ?? {};
  const named = typeof part.name === 'string' && part.name !== '';
  let tool = index !== undefined ? choice.toolAt.get(index) : choice.tools.at(-1);
  if (tool && id !== undefined && tool.id !== undefined && id !== tool.id && named) tool = undefined;
  if (tool === undefined) {
    if (choice.tools.length >= maxTools) return;
    tool = { id, fields: new Map(), called: new Map(), kind: objectOf(call.custom) ? 'custom' : 'function' };
    choice.tools.push(tool);
    if (index !== undefined) choice.toolAt.set(index, tool);
  }
  tool.id ??= id;
  for (const name in call) {
    if (name === 'index' || name === 'id' || name === 'type' || name === 'function' || name === 'custom')
      continue;
    if (call[name] !== null && ration.take(bytes) && tool.fields.size < 16) tool.fields.set(name, call[name]);
  }
  for (const name in part) {
    // A name that comes again is a repetition, not a longer name.
    if (name === 'name' && (part.name === '' || said(tool.called.get('name')) === part.name)) continue;
    grow(tool.called, name, part[name], ration, bytes);
  }
}

/** Sound is counted and not kept. */
function addAudio(choice: Choice, audio: Obj, ration: Ration, bytes: number): void {
  const kept = fieldsOf(choice.message, 'audio');
  for (const name in audio) {
    const value = audio[name];
    if (name === 'data')
      choice.audioBytes += typeof value === 'string' ? Math.floor((value.length * 3) / 4) : 0;
    else if (name === 'transcript') grow(kept, name, value, ration, bytes);
    else if (ration.take(bytes) && kept.size < 16) kept.set(name, value);
  }
}

/** OpenRouter streams these as deltas of the last one of the same index and type. */
function addDetails(message: Growing, details: unknown[], ration: Ration, bytes: number): void {
  const before = message.get('reasoning_details');
  const kept: unknown[] = Array.isArray(before) ? before : [];
  for (const each of details) {
    const detail = objectOf(each);
    const last = objectOf(kept.at(-1));
    if (detail === undefined || !ration.take(bytes)) continue;
    if (last === undefined || last.index !== detail.index || last.type !== detail.type) {
      kept.push({ ...detail });
      continue;
    }
    for (const name in detail) {
      if (name === '__proto__') continue;
      const [value, had] = [detail[name], last[name]];
      const grows = name === 'text' || name === 'summary' || name === 'data';
      if (grows && typeof value === 'string' && typeof had === 'string') last[name] = had + value;
      else if (value !== null) last[name] = value;
    }
  }
  message.set('reasoning_details', kept);
}

const said = (text: unknown): string | undefined => (text instanceof Text ? text.toString() : undefined);

export function shownChoice(choice: Choice): Obj {
  const message: Obj = Object.fromEntries(
    [...choice.message].map(([name, value]) => [
      name,
      value instanceof Map ? Object.fromEntries(value) : value,
    ]),
  );
  if (choice.audioBytes > 0) message.audio = { ...objectOf(message.audio), bytes: choice.audioBytes };
  if (choice.tools.length > 0) {
    message.tool_calls = choice.tools.map((tool) => ({
      ...(tool.id === undefined ? {} : { id: tool.id }),
      type: tool.kind,
      [tool.kind]: Object.fromEntries(tool.called),
      ...Object.fromEntries(tool.fields),
    }));
  }
  return {
    message,
    logprobs: choice.logprobs.size === 0 ? null : Object.fromEntries(choice.logprobs),
    finish_reason: choice.finish,
  };
}
