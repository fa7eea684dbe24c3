/** Reads an answer for the record and the budget, beside its way to the agent: usage, stop reason, error, and the message in full. Fed by capture.ts. */
import type { FormatName } from '../kinds/kind.ts';
import { createRation } from './fold.ts';
import { createPile } from './pile.ts';
import { type Shape, shapeOf } from './shape.ts';
import type { Tokens } from './tokens.ts';
import { maxBytes, type Way, wayOf } from './way.ts';

export type Reading = {
  /** The final count. Absent where the answer does not say, and where a stream was cut before it did. */
  tokens?: Tokens;
  /** What a stream that was cut had said until then. Too little to bill: whoever cuts it would choose the price. */
  tokensUntilCut?: Tokens;
  /** What the upstream says it costs (OpenRouter's usage.cost). */
  costUsd?: number;
  stop?: string;
  model?: string;
  /** An error inside the answer, as one word. */
  error?: string;
  /** The format's own end was seen. Always true where a format has none (sound, plain text): there only the transport knows. */
  ended: boolean;
  /** JSON text: the answer as the non-streamed API would give it, tool calls included; a plain JSON answer as it came. */
  message?: string;
  /** The message is not all of it. */
  truncated?: true;
};

export type Reader = {
  /** Never throws, whatever the bytes are. */
  push(chunk: Buffer): void;
  end(): Reading;
};

/** White space before an answer begins. */
const maxHeadBytes = 64;

export function createReader(format: FormatName, contentType: string): Reader {
  const ration = createRation(maxBytes);
  const head = createPile(maxHeadBytes);
  let way: Way | undefined;

  const begin = (shape: Shape): Way => {
    const way = wayOf(format, shape, ration);
    way.push(Buffer.from(head.bytes()));
    head.clear();
    return way;
  };
  return {
    push(chunk) {
      if (way === undefined && head.size() === 0) {
        // The first chunk says it alone, as a rule.
        const shape = shapeOf(format, contentType, chunk.subarray(0, maxHeadBytes));
        if (shape !== undefined) way = wayOf(format, shape, ration);
      }
      if (way === undefined) {
        const more = Math.min(chunk.length, maxHeadBytes - head.size());
        head.add(chunk, 0, more);
        const shape = shapeOf(format, contentType, head.bytes());
        if (shape === undefined) return;
        way = begin(shape);
        way.push(chunk.subarray(more));
      } else {
        way.push(chunk);
      }
    },
    end() {
      way ??= begin(
        shapeOf(format, contentType, Buffer.concat([head.bytes(), Buffer.alloc(64, 0x20)])) ?? 'bytes',
      );
      const { facts, ended, message, raw } = way.end();
      const { tokens, costUsd, stop, model, error } = facts;
      const final = ended || facts.final === true;
      const reading: Reading = { ended };
      if (tokens !== undefined) reading[final ? 'tokens' : 'tokensUntilCut'] = tokens;
      if (costUsd !== undefined && final) reading.costUsd = costUsd;
      if (stop !== undefined) reading.stop = stop;
      if (model !== undefined) reading.model = model;
      if (error !== undefined) reading.error = error;
      const text = raw ?? written(message);
      if (text !== undefined) reading.message = text;
      if (ration.spent() || (text === undefined && message !== undefined)) reading.truncated = true;
      return reading;
    },
  };
}

/** A hostile value may be nested too deep to be written; its record then says that it is not whole. */
function written(message: unknown): string | undefined {
  try {
    return message === undefined ? undefined : JSON.stringify(message);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
