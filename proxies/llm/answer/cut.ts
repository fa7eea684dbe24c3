/** The last event of a stream that did not come to its end: the error in the stream's own format, never an end. Called by proxy.ts right before it destroys the connection. */
import { type Denial, denialText } from '../denial.ts';
import type { FormatName } from '../kinds/kind.ts';
import { statedShape } from './shape.ts';

/** google.rpc.Code by HTTP status. */
const codes: Record<number, string> = {
  402: 'RESOURCE_EXHAUSTED',
  429: 'RESOURCE_EXHAUSTED',
  504: 'DEADLINE_EXCEEDED',
};

/**
 * Undefined where the format has no place for it (plain JSON, sound). `atBoundary`: the last byte that the agent got ended a line;
 * otherwise what is half there is ended first, as an event or line that cannot be parsed.
 */
export function cutEvent(
  format: FormatName,
  contentType: string,
  denial: Denial,
  atBoundary = false,
): Buffer | undefined {
  const shape = statedShape(contentType);
  const text = denialText(denial);
  if (shape === 'ndjson') return Buffer.from(`${atBoundary ? '' : '\n'}${JSON.stringify({ error: text })}\n`);
  if (shape !== 'sse') return undefined;
  const [type, data] = eventOf(format, denial, text);
  // Two line ends close a half line and its event. Where nothing was open they are an empty event, which nobody sees.
  return Buffer.from(`\n\n${type ? `event: ${type}\n` : ''}data: ${JSON.stringify(data)}\n\n`);
}

function eventOf(format: FormatName, denial: Denial, message: string): [string | undefined, unknown] {
  if (format.startsWith('anthropic'))
    return ['error', { type: 'error', error: { type: 'api_error', message } }];
  if (format.startsWith('gemini'))
    return [
      undefined,
      { error: { code: denial.status, message, status: codes[denial.status] ?? 'UNAVAILABLE' } },
    ];
  if (format.startsWith('ollama')) return [undefined, { error: message }];
  if (format === 'openai-responses')
    return ['error', { type: 'error', code: denial.rule, message, param: null, sequence_number: 0 }];
  return [undefined, { error: { message, type: 'server_error', param: null, code: denial.rule } }];
}
