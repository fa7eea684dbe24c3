/** Every wire format by its name: the table that a new format is added to. Compiled by asked/grammar.ts, read by asked/multipart.ts. */
import { anthropicCount, anthropicMessages } from './formats/anthropic.ts';
import { geminiCount, geminiEmbed, geminiGenerate } from './formats/gemini.ts';
import { ollamaChat, ollamaEmbed, ollamaGenerate, ollamaShow } from './formats/ollama.ts';
import { openaiChat, openaiEmbeddings, openaiSpeech, openaiTranscription } from './formats/openai.ts';
import { openaiResponses } from './formats/responses.ts';
import type { FormatName } from './kind.ts';
import type { Format } from './spot.ts';

export const formats: Readonly<Record<FormatName, Format>> = {
  'openai-chat': openaiChat,
  'openai-responses': openaiResponses,
  'openai-embeddings': openaiEmbeddings,
  'openai-speech': openaiSpeech,
  'openai-transcription': openaiTranscription,
  'anthropic-messages': anthropicMessages,
  'anthropic-count': anthropicCount,
  'gemini-generate': geminiGenerate,
  'gemini-count': geminiCount,
  'gemini-embed': geminiEmbed,
  'ollama-chat': ollamaChat,
  'ollama-generate': ollamaGenerate,
  'ollama-embed': ollamaEmbed,
  'ollama-show': ollamaShow,
  /** A GET has no body at all. */
  listing: { model: 'none', fields: {} },
};
