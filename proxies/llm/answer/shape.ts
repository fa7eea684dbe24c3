/** How the bytes of an answer are to be taken: by its content-type, and where that says nothing, by how they begin. Used by reader.ts, first.ts and cut.ts. */
import type { FormatName } from '../kinds/kind.ts';

export type Shape = 'sse' | 'ndjson' | 'json' | 'text' | 'bytes';

const byType: Record<string, Shape> = {
  'text/event-stream': 'sse',
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
  'application/jsonl': 'ndjson',
  'application/json': 'json',
};

/** What the header says; undefined where it says nothing of use. */
export function statedShape(contentType: string): Shape | undefined {
  const type = (contentType.split(';')[0] ?? '').trim().toLowerCase();
  if (Object.hasOwn(byType, type)) return byType[type];
  if (type.endsWith('+json')) return 'json';
  return type.startsWith('audio/') ? 'bytes' : undefined;
}

/**
 * SDKs go by what they asked for, not by the header: an error as plain JSON where a stream was stated, and a stream where JSON was,
 * are read as what they are. Undefined while the bytes are too few to say.
 */
export function shapeOf(format: FormatName, contentType: string, beginning: Buffer): Shape | undefined {
  const stated = statedShape(contentType);
  if (stated === 'bytes' || stated === 'ndjson') return stated;
  const head = beginning.toString('latin1', 0, 64).replace(/^(?:\xef\xbb\xbf)?[\t\n\r ]*/, '');
  if (head === '') return beginning.length < 64 ? undefined : (stated ?? 'bytes');
  if (head[0] === '{' || head[0] === '[') return stated === undefined && ndjson(format) ? 'ndjson' : 'json';
  if (stated === 'sse' || /^(?:data|event|id|retry)?:/.test(head)) return 'sse';
  if (stated !== undefined) return stated;
  if (/^(?:[dei]|da|dat|data|ev|eve|even|event|id|r|re|ret|retr|retry)$/.test(head) && beginning.length < 8)
    return undefined;
  return format === 'openai-transcription' || /^text\//i.test(contentType) ? 'text' : 'bytes';
}

const ndjson = (format: FormatName): boolean => format === 'ollama-chat' || format === 'ollama-generate';
