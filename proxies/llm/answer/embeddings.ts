/** Embeddings of every kind: what model, how many, what usage; the vectors are counted as they pass and never parsed or kept. Driven by reader.ts. */
import type { Facts } from './fold.ts';
import { createPieces, type Pieces } from './pieces.ts';
import { geminiTokens, ollamaTokens, openaiTokens, statedCost } from './tokens.ts';
import { errorOf, modelOf, type Obj, objectOf, parsed } from './value.ts';

export type Embeddings = Pieces & { facts(): Facts; message(): unknown };

/** OpenAI, Ollama and Gemini, and a bare list of vectors (TEI). */
const lists = new Set(['data', 'embeddings', 'predictions']);

/** Usage, model and an error are shorter; one short vector of Gemini's may be kept for a moment. */
const maxPieceBytes = 64 * 1024;

export function createEmbeddings(format: 'openai-embeddings' | 'gemini-embed' | 'ollama-embed'): Embeddings {
  const kept: Obj = Object.create(null);
  let vectors = 0;
  const pieces = createPieces(maxPieceBytes, ({ name, text, count }) => {
    if (name === undefined) vectors += 1;
    else if (lists.has(name)) vectors = count;
    else if (name === 'embedding') vectors = 1;
    else if (text !== undefined && Object.keys(kept).length < 64) kept[name] = parsed(text);
  });
  const usage = (): Obj | undefined => objectOf(kept.usage) ?? objectOf(kept.usageMetadata);
  return {
    ...pieces,
    facts() {
      const tokens =
        format === 'ollama-embed'
          ? ollamaTokens(kept, false)
          : format === 'gemini-embed'
            ? geminiTokens(usage(), false)
            : openaiTokens(usage(), false);
      return {
        // Output is nothing here; without input there is no count at all.
        tokens: tokens?.in === undefined ? undefined : tokens,
        costUsd: statedCost(usage()),
        model: modelOf(kept.model),
        error: errorOf(kept),
      };
    },
    message: () => (pieces.kind() === undefined ? undefined : { ...kept, count: vectors }),
  };
}
