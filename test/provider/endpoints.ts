/** Every method and path that the practice provider answers, and with what. provider.ts asks it for each request. */
import type { IncomingHttpHeaders } from 'node:http';
import { anthropic, anthropicMessages } from './anthropic.ts';
import { readUpload, speech, transcript, transcriptFrames } from './audio.ts';
import { geminiEmbed, geminiEmbedBatch, ollamaEmbed, openaiEmbeddings } from './embedding.ts';
import { gemini, geminiArray, geminiSse, geminiWhole } from './gemini.ts';
import { ollama, ollamaChat, ollamaGenerate, pulled, running, shown, unknownPull } from './ollama.ts';
import { openai, openaiChat } from './openai.ts';
import { openaiResponses } from './responses.ts';
import { countOf, type Format, type Vendor } from './script.ts';

export type Call = {
  json: Record<string, unknown>;
  raw: Buffer;
  contentType: string;
  names: readonly string[];
  at: Date;
};

export type Answer =
  | { contentType: string; bytes: Buffer }
  | { contentType: string; frames: string[]; errorFrame: string };

export type Endpoint = {
  vendor: Vendor;
  /** In the path of some; in the body of most. */
  model?: string;
  chat?: Format;
  /** Of everything that is no chat. Undefined: there is no such model. */
  answer?(call: Call): Answer | undefined | Promise<Answer | undefined>;
};

const json = (value: unknown): Answer => ({
  contentType: 'application/json',
  bytes: Buffer.from(JSON.stringify(value)),
});

const plain = (vendor: Vendor, make: (call: Call) => unknown): Endpoint => ({
  vendor,
  answer: (call) => json(make(call)),
});

const upload: Endpoint = {
  vendor: openai,
  async answer({ raw, contentType }) {
    const read = await readUpload(raw, contentType);
    if (!read.stream) return transcript(read);
    return {
      contentType: 'text/event-stream; charset=utf-8',
      frames: transcriptFrames(read),
      errorFrame: openaiChat.errorFrame,
    };
  },
};

const pull: Endpoint = {
  vendor: ollama,
  answer: ({ json: asked }) => {
    const known = !String(asked.model ?? asked.name).startsWith('missing');
    const frames = known ? pulled() : [unknownPull];
    if (asked.stream === false && known) return json({ status: 'success' });
    return { contentType: 'application/x-ndjson', frames, errorFrame: unknownPull };
  },
};

/** Words of all texts in a body of any format, about. */
const countBody = (body: unknown): number =>
  typeof body === 'string'
    ? countOf(body)
    : typeof body === 'object' && body !== null
      ? Object.values(body).reduce((sum: number, each) => sum + countBody(each), 0)
      : 0;

const fixed: Record<string, Endpoint> = {
  'POST /v1/chat/completions': { vendor: openai, chat: openaiChat },
  'POST /v1/responses': { vendor: openai, chat: openaiResponses },
  'POST /v1/embeddings': plain(openai, ({ json: asked }) => openaiEmbeddings(asked)),
  'POST /v1/audio/speech': { vendor: openai, answer: ({ json: asked }) => speech(asked) },
  'POST /v1/audio/transcriptions': upload,
  'POST /v1/messages': { vendor: anthropic, chat: anthropicMessages },
  'POST /v1/messages/count_tokens': plain(anthropic, ({ json: asked }) => ({
    input_tokens: countBody(asked.messages) + countBody(asked.system),
  })),
  'GET /v1beta/models': plain(gemini, ({ names, at }) => gemini.models(names, at)),
  'POST /api/chat': { vendor: ollama, chat: ollamaChat },
  'POST /api/generate': { vendor: ollama, chat: ollamaGenerate },
  'POST /api/embed': plain(ollama, ({ json: asked }) => ollamaEmbed(asked)),
  'GET /api/tags': plain(ollama, ({ names, at }) => ollama.models(names, at)),
  'GET /api/ps': plain(ollama, ({ names, at }) => running(names, at)),
  'POST /api/show': plain(ollama, ({ at }) => shown(at)),
  'GET /api/version': plain(ollama, () => ({ version: '0.12.6' })),
  'POST /api/pull': pull,
};

const geminiVerbs: Record<string, (query: URLSearchParams) => Endpoint> = {
  generateContent: () => ({ vendor: gemini, chat: geminiWhole }),
  streamGenerateContent: (query) => ({
    vendor: gemini,
    chat: query.get('alt') === 'sse' ? geminiSse : geminiArray,
  }),
  embedContent: () => plain(gemini, ({ json: asked }) => geminiEmbed(asked)),
  batchEmbedContents: () => plain(gemini, ({ json: asked }) => geminiEmbedBatch(asked)),
  countTokens: () =>
    plain(gemini, ({ json: asked }) => {
      const totalTokens = countBody(asked.contents);
      return { totalTokens, promptTokensDetails: [{ modality: 'TEXT', tokenCount: totalTokens }] };
    }),
};

export function endpointOf(method: string, url: string, headers: IncomingHttpHeaders): Endpoint | undefined {
  const [path = '', search = ''] = url.split('?');
  const found = fixed[`${method} ${path}`];
  if (found) return found;
  const verb = /^\/v1(?:beta)?\/models\/([^/:]+):(\w+)$/.exec(path);
  if (method === 'POST' && verb) {
    const endpoint = geminiVerbs[verb[2] ?? '']?.(new URLSearchParams(search));
    return endpoint && { ...endpoint, model: decodeURIComponent(verb[1] ?? '') };
  }
  const listing = /^\/(v1|v1beta)\/models(?:\/(.+))?$/.exec(path);
  if (method !== 'GET' || !listing) return undefined;
  const [, version, name] = listing;
  // Their SDKs share this path; what they send with it differs.
  const google = version === 'v1beta' || headers['x-goog-api-key'] !== undefined;
  const vendor = google ? gemini : headers['anthropic-version'] ? anthropic : openai;
  if (name === undefined) return plain(vendor, ({ names, at }) => vendor.models(names, at));
  return {
    vendor,
    answer({ names, at }) {
      const asked = decodeURIComponent(name);
      return names.includes(asked) ? json(vendor.model?.(asked, at)) : undefined;
    },
  };
}

/** In whose words a path that is not there is refused. */
export const vendorOf = (path: string): Vendor =>
  path.startsWith('/api/') ? ollama : path.startsWith('/v1beta/') ? gemini : openai;
