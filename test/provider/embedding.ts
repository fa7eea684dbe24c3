/** Vectors as the practice provider makes them, in the three shapes in which vendors answer: OpenAI, Gemini, Ollama. */
import { createHash } from 'node:crypto';
import { countOf, textOf } from './script.ts';

/** The same text has the same vector, on every machine. */
function vectorOf(text: string, dimensions: number): number[] {
  const digest = createHash('sha512').update(text).digest();
  return Array.from({ length: dimensions }, (_, at) => Math.fround((digest[at % 64] ?? 0) / 255 - 0.5));
}

const base64Of = (vector: number[]): string =>
  Buffer.from(new Float32Array(vector).buffer).toString('base64');

/** A string, a list of strings, or token numbers (one list or several). */
function textsOf(input: unknown): string[] {
  if (!Array.isArray(input)) return [String(input)];
  return typeof input[0] === 'number' ? [input.join(' ')] : input.map(String);
}

const countAll = (texts: string[]): number => texts.reduce((sum, text) => sum + countOf(text), 0);

export function openaiEmbeddings(json: Record<string, unknown>): unknown {
  const texts = textsOf(json.input);
  const tokens = countAll(texts);
  return {
    object: 'list',
    data: texts.map((text, index) => {
      const vector = vectorOf(text, Number(json.dimensions ?? 8));
      const embedding = json.encoding_format === 'base64' ? base64Of(vector) : vector;
      return { object: 'embedding', index, embedding };
    }),
    model: json.model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

export function ollamaEmbed(json: Record<string, unknown>): unknown {
  const texts = textsOf(json.input);
  return {
    model: json.model,
    embeddings: texts.map((text) => vectorOf(text, Number(json.dimensions ?? 8))),
    total_duration: 2_000_000,
    load_duration: 1_000_000,
    prompt_eval_count: countAll(texts),
  };
}

type EmbedRequest = { content?: unknown; outputDimensionality?: number };

const geminiVector = ({ content, outputDimensionality = 8 }: EmbedRequest) => ({
  values: vectorOf(textOf(content), outputDimensionality),
});

export const geminiEmbed = (json: Record<string, unknown>): unknown => ({
  embedding: geminiVector(json as EmbedRequest),
});

export const geminiEmbedBatch = (json: Record<string, unknown>): unknown => ({
  embeddings: ((json.requests ?? []) as EmbedRequest[]).map(geminiVector),
});
