/** The way through the bytes of an answer, by its shape and its format. Chosen by reader.ts. */
import type { FormatName } from '../kinds/kind.ts';
import { audioAnswer } from './audio.ts';
import { createEmbeddings } from './embeddings.ts';
import type { Facts, Fold, Ration } from './fold.ts';
import { geminiGenerate } from './gemini.ts';
import { createLines } from './lines.ts';
import { anthropicMessages } from './messages.ts';
import { ollamaAnswer } from './ollama.ts';
import { openaiChat } from './openaichat.ts';
import { createPieces, type Pieces } from './pieces.ts';
import { createPile } from './pile.ts';
import { plainAnswer } from './plain.ts';
import { openaiResponses } from './responses.ts';
import type { Shape } from './shape.ts';
import { createSse } from './sse.ts';
import { objectOf, parsed } from './value.ts';

export type Way = {
  push(chunk: Buffer): void;
  /** `raw`: the message is JSON text already. */
  end(): { facts: Facts; ended: boolean; message: unknown; raw?: string };
};

/** Of one event, and of what is kept of a whole answer. Answers of models are far below; embeddings are not kept. */
export const maxBytes = 8 * 1024 * 1024;
/** Members of an answer over maxBytes that are looked at: usage, model, error. */
const maxMemberBytes = 64 * 1024;
const folds: Partial<Record<FormatName, (ration: Ration) => Fold>> = {
  'openai-chat': openaiChat,
  'openai-responses': openaiResponses,
  'openai-speech': audioAnswer,
  'openai-transcription': audioAnswer,
  'anthropic-messages': anthropicMessages,
  'anthropic-count': () => plainAnswer(true),
  'gemini-generate': geminiGenerate,
  'gemini-count': () => plainAnswer(true),
  'ollama-chat': ollamaAnswer,
  'ollama-generate': ollamaAnswer,
};

export function wayOf(format: FormatName, shape: Shape, ration: Ration): Way {
  if (shape === 'bytes') return sound();
  if (shape === 'text') return plainText(ration);
  if (format === 'openai-embeddings' || format === 'gemini-embed' || format === 'ollama-embed')
    return embeddings(format);
  const fold = (folds[format] ?? (() => plainAnswer(false)))(ration);
  if (shape === 'json') return wholeJson(fold, ration, format);
  return shape === 'sse' ? events(fold, ration) : jsonLines(fold, ration);
}

const sound = (): Way => ({
  push: () => {},
  end: () => ({ facts: {}, ended: true, message: undefined }),
});

function plainText(ration: Ration): Way {
  const pile = createPile(maxBytes);
  return {
    push(chunk) {
      if (!pile.add(chunk, 0, chunk.length)) ration.take(Number.POSITIVE_INFINITY);
    },
    end: () => ({ facts: {}, ended: true, message: { text: pile.bytes().toString('utf8') } }),
  };
}

function embeddings(format: Parameters<typeof createEmbeddings>[0]): Way {
  const read = createEmbeddings(format);
  return {
    push: read.push,
    end: () => ({ facts: read.facts(), ended: read.closed(), message: read.message() }),
  };
}

function events(fold: Fold, ration: Ration): Way {
  const sse = createSse({
    maxBytes,
    tooLong: () => ration.take(Number.POSITIVE_INFINITY),
    event(type, data) {
      if (data === '[DONE]') return fold.piece({}, '[DONE]', 0);
      const value = objectOf(parsed(data));
      if (value) fold.piece(value, type === '[DONE]' ? '' : type, data.length);
    },
  });
  return {
    push: sse.push,
    end() {
      sse.end();
      return { facts: fold.facts(), ended: fold.ended(), message: fold.message() };
    },
  };
}

function jsonLines(fold: Fold, ration: Ration): Way {
  const lines = createLines({
    maxBytes,
    tooLong: () => ration.take(Number.POSITIVE_INFINITY),
    line(bytes, from, to) {
      const value = objectOf(parsed(bytes.toString('utf8', from, to)));
      if (value) fold.piece(value, '', to - from);
    },
  });
  return {
    push: lines.push,
    end() {
      lines.end();
      return { facts: fold.facts(), ended: fold.ended(), message: fold.message() };
    },
  };
}

/** One JSON value. Kept as it came; where it is longer than what is kept, cut short, or a list of responses (Gemini), piece by piece. */
function wholeJson(fold: Fold, ration: Ration, format: FormatName): Way {
  const pile = createPile(maxBytes);
  let long: (Pieces & { finish(): void }) | undefined;
  return {
    push(chunk) {
      if (long === undefined && pile.add(chunk, 0, chunk.length)) return;
      if (long === undefined) {
        long = inPieces(fold, maxBytes);
        long.push(pile.bytes());
        pile.clear();
        ration.take(Number.POSITIVE_INFINITY);
      }
      long.push(chunk);
    },
    end() {
      if (long !== undefined) {
        long.finish();
        return { facts: fold.facts(), ended: long.closed(), message: fold.message() };
      }
      const text = pile
        .bytes()
        .toString('utf8')
        .replace(/^\uFEFF/, '');
      if (text.trim() === '') return { facts: {}, ended: false, message: undefined };
      const value = parsed(text);
      if (objectOf(value)) {
        fold.whole(value as Record<string, unknown>);
        return { facts: fold.facts(), ended: true, message: undefined, raw: text };
      }
      if (value === undefined && (format === 'ollama-chat' || format === 'ollama-generate')) {
        const lines = jsonLines(fold, ration);
        lines.push(pile.bytes());
        return lines.end();
      }
      const pieces = inPieces(fold, maxBytes);
      pieces.push(pile.bytes());
      pieces.finish();
      const ended = value !== undefined && pieces.closed();
      // What is no JSON is put on record as the text that it is.
      return { facts: fold.facts(), ended, message: fold.message() ?? text };
    },
  };
}

function inPieces(fold: Fold, maxPieceBytes: number): Pieces & { finish(): void } {
  const members = new Map<string, unknown>();
  const pieces = createPieces(maxPieceBytes, ({ name, text }) => {
    if (text === undefined) return;
    if (name === undefined) {
      const value = objectOf(parsed(text));
      if (value) fold.piece(value, '', text.length);
    } else if (text.length <= maxMemberBytes && members.size < 64) {
      members.set(name, parsed(text));
    }
  });
  return {
    ...pieces,
    finish() {
      if (pieces.kind() === 'object') fold.whole(Object.fromEntries(members));
    },
  };
}
