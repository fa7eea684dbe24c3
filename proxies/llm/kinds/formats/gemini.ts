/** The grammar of the Gemini API: generate, count, embed. Its parts and tools have no type: which key stands there says what they are. Listed in formats.ts. */
import type { Format, Spot } from '../spot.ts';

const spots: Readonly<Record<string, Spot>> = {
  contents: { may: 'list object', each: 'turn', object: 'turn' },
  turn: { may: 'object', keys: { parts: 'parts', word: 'role' }, closed: true, fault: 'part', take: 'part' },
  /** Contents that are a piece of the record as a whole. */
  content: {
    may: 'string object',
    string: 'text',
    keys: { parts: 'parts', word: 'role' },
    closed: true,
    fault: 'part',
    take: 'long',
  },
  parts: { may: 'list object', each: 'part', object: 'part' },
  /** Not here: executableCode, codeExecutionResult, toolCall and toolResponse, which belong to tools that Google runs. */
  part: {
    may: 'object',
    closed: true,
    fault: 'part',
    keys: {
      text: 'text',
      word: 'inlineData thought thoughtSignature videoMetadata mediaResolution',
      fileData: 'fileData',
      free: 'functionCall partMetadata',
      functionResponse: 'functionResponse',
    },
  },
  fileData: {
    may: 'object',
    keys: { url: 'fileUri', word: 'mimeType', text: 'displayName' },
    closed: true,
    fault: 'part',
  },
  functionResponse: {
    may: 'object',
    closed: true,
    fault: 'part',
    keys: { free: 'response', parts: 'parts', text: 'name', word: 'id scheduling willContinue' },
  },
  tool: {
    may: 'object',
    closed: true,
    fault: 'tool',
    keys: {
      schema: 'functionDeclarations',
      off:
        'googleSearch googleSearchRetrieval urlContext codeExecution googleMaps fileSearch computerUse retrieval ' +
        'mcpServers enterpriseWebSearch exaAiSearch parallelAiSearch',
    },
  },
  toolConfig: {
    may: 'object',
    keys: {
      functionCalling: 'functionCallingConfig',
      off: 'retrievalConfig includeServerSideToolInvocations',
    },
    closed: true,
    fault: 'tool',
  },
  functionCalling: { may: 'object', keys: { text: 'allowedFunctionNames' } },
  /** Closed: modelSelectionConfig and routingConfig choose another model than the one that was allowed. */
  settings: {
    may: 'object',
    closed: true,
    fault: 'field',
    keys: {
      maxTokens: 'maxOutputTokens',
      answers: 'candidateCount',
      text: 'stopSequences',
      schema: 'responseSchema responseJsonSchema',
      word:
        'temperature topP topK seed presencePenalty frequencyPenalty responseLogprobs logprobs responseMimeType ' +
        'responseModalities mediaResolution speechConfig thinkingConfig imageConfig audioTimestamp audioTranscriptionConfig',
    },
  },
  /** The same request again, to be counted: its model must be the one of the path. */
  request: {
    may: 'object',
    closed: true,
    fault: 'field',
    keys: {
      contents: 'contents',
      content: 'systemInstruction',
      tools: 'tools',
      toolConfig: 'toolConfig',
      settings: 'generationConfig',
      word: 'safetySettings',
      tier: 'serviceTier',
      free: 'labels',
      innerModel: 'model',
      stored: 'cachedContent',
      store: 'store',
    },
  },
  embedding: {
    may: 'object',
    closed: true,
    fault: 'field',
    keys: {
      content: 'content',
      text: 'title',
      word: 'taskType outputDimensionality embedContentConfig',
      innerModel: 'model',
    },
  },
  embeddings: { may: 'list', each: 'embedding' },
  innerModel: { may: 'string', string: 'text', take: 'innerModel' },
  /** Priority costs up to twice as much. Both spellings of the API are in use; protobuf's JSON takes a number too, and this does not. */
  tier: {
    may: 'string',
    words: 'unspecified standard flex SERVICE_TIER_UNSPECIFIED SERVICE_TIER_STANDARD SERVICE_TIER_FLEX',
    fault: 'tier',
  },
};

export const geminiGenerate: Format = {
  model: 'in the path',
  snake: true,
  fields: spots.request?.keys ?? {},
  spots,
};

export const geminiCount: Format = {
  model: 'in the path',
  snake: true,
  fields: { ...spots.request?.keys, request: 'generateContentRequest' },
  spots,
};

/** One embedding, or several under `requests`. */
export const geminiEmbed: Format = {
  model: 'in the path',
  snake: true,
  fields: { ...spots.embedding?.keys, embeddings: 'requests' },
  spots,
};
