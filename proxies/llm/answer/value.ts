/** A value out of a provider's JSON, taken for nothing until it is looked at. Used by every file that reads an answer. */

export type Obj = Record<string, unknown>;

export const objectOf = (value: unknown): Obj | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Obj) : undefined;

export const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

export const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** A place in a list. Nobody sends more of them; a huge one would only cost memory. */
export const indexOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 4096 ? value : undefined;

/** Commas and brackets, as in a request (asked/json.ts). The longest answer with log probabilities has fewer; 8 MB of `{},` would take a second and 300 MB. */
const maxValues = 500_000;
/** Shorter ones cannot hold many. */
const shortChars = 64 * 1024;

function isCrowded(text: string): boolean {
  let values = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code === 0x2c || code === 0x5b || code === 0x7b) && ++values > maxValues) return true;
  }
  return false;
}

/** Undefined for what is no JSON, and for what holds more values than an answer does. */
export function parsed(text: string): unknown {
  if (text.length > shortChars && isCrowded(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Goes into records and metrics: a word of ours in form, whoever wrote it. */
export function wordOf(value: unknown): string | undefined {
  const text = typeof value === 'number' ? String(value) : value;
  return typeof text === 'string' && /^[\w.:-]{1,64}$/.test(text) ? text : undefined;
}

/** A model's name for the record: printable and short. */
export function modelOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== ''
    ? value.replace(/[^\x20-\x7e]/g, '?').slice(0, 200)
    : undefined;
}

/**
 * The error that an answer carries, as one word. OpenAI and its kin: `error.code` or `.type`; Anthropic: `error.type`;
 * Gemini: `error.status`; Ollama: `error` is a text.
 */
export function errorOf(answer: Obj): string | undefined {
  const error = answer.error;
  if (error === undefined || error === null || error === false || error === '') return undefined;
  const it = objectOf(error);
  if (it === undefined) return 'error';
  const code = typeof it.code === 'string' ? wordOf(it.code) : undefined;
  return code ?? wordOf(it.type) ?? wordOf(it.status) ?? wordOf(it.code) ?? 'error';
}
