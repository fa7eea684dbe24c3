/** Judges the beginning of a good answer before anything of it goes to the agent, so that one which begins with an error can be asked elsewhere. Called by proxy.ts. */
import type { FormatName } from '../kinds/kind.ts';
import { shapeOf } from './shape.ts';
import { createSse } from './sse.ts';
import { errorOf, listOf, type Obj, objectOf, parsed, wordOf } from './value.ts';

export type First = 'more' | 'ok' | { error: string };

/** An error is shorter than this. What is longer without an end goes on as it is: an answer is not held back. */
const maxHeldBytes = 64 * 1024;

/** `bytes` is all that has come so far, from the very beginning. */
export function firstEvent(format: FormatName, contentType: string, bytes: Buffer): First {
  const shape = shapeOf(format, contentType, bytes);
  if (shape === undefined) return 'more';
  if (shape === 'bytes' || shape === 'text') return 'ok';
  const judged = shape === 'sse' ? ofEvents(bytes) : ofJson(bytes, shape === 'ndjson');
  return judged === 'more' && bytes.length > maxHeldBytes ? 'ok' : judged;
}

/** A ping and a comment are no answer yet. */
function ofEvents(bytes: Buffer): First {
  let judged: First = 'more';
  const sse = createSse({
    maxBytes: maxHeldBytes,
    tooLong: () => {
      if (judged === 'more') judged = 'ok';
    },
    event(type, data) {
      if (judged !== 'more') return;
      const value = objectOf(parsed(data));
      if (value === undefined) {
        judged = type === 'error' ? { error: 'error' } : 'ok';
      } else if (value.type !== 'ping' && type !== 'ping') {
        const error = errorIn(value, type);
        judged = error === undefined ? 'ok' : { error };
      }
    },
  });
  sse.push(bytes);
  return judged;
}

function errorIn(value: Obj, type = ''): string | undefined {
  if (value.type === 'response.failed') return errorOf(objectOf(value.response) ?? {}) ?? 'error';
  if (value.type === 'error' || type === 'error') return errorOf(value) ?? wordOf(value.code) ?? 'error';
  return errorOf(value);
}

/**
 * An answer in JSON goes on as soon as it is clear that it does not begin with an error; one that does is waited for, since it is
 * short. Gemini's list of responses begins with a bracket.
 */
function ofJson(bytes: Buffer, lines: boolean): First {
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  const opened = /^\s*(?:\[\s*)?\{\s*"((?:[^"\\]|\\.)*)"\s*:/.exec(text);
  if (opened === null) {
    // `{}`, `[]` and what is no such beginning at all are nobody's error.
    // Blanks follow a closed name alone: were they also tried behind an open one, a long row of them would be tried at each of its places.
    return /^\s*(?:\[\s*)?(?:\{\s*(?:"(?:[^"\\]|\\.)*(?:"\s*|\\)?)?)?$/s.test(text) &&
      text.length < maxHeldBytes
      ? 'more'
      : 'ok';
  }
  const name = opened[1] as string;
  if (!/^(?:error|type|code|status|message|detail|request_id)$/.test(name)) return 'ok';
  const value = /^\s*("(?:[^"\\]|\\.)*"|null)\s*,/.exec(text.slice(opened[0].length))?.[1];
  if (value !== undefined && (name === 'error' ? value === 'null' : name === 'type' && value !== '"error"'))
    return 'ok';
  const whole = parsed(text) ?? parsed(lines ? (text.split('\n', 1)[0] ?? '') : `${text.trim()}]`);
  if (whole === undefined) return 'more';
  const first = objectOf(whole) ?? objectOf(listOf(whole)[0]);
  const error = first && errorIn(first);
  return error === undefined ? 'ok' : { error };
}
