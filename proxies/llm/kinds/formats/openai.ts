/** The grammar of the OpenAI APIs: chat completions, embeddings, speech, transcriptions; responses has its own file. Listed in formats.ts. */
import type { Format, Spot } from '../spot.ts';

/** Sampling settings of every chat API: numbers and words. From the third line on what OpenRouter, vLLM, SGLang and llama.cpp add. */
const sampling =
  'temperature top_p seed frequency_penalty presence_penalty logprobs top_logprobs verbosity modalities ' +
  'parallel_tool_calls reasoning_effort reasoning moderation prompt_cache_retention prompt_cache_options ' +
  'top_k top_a min_p typical_p top_n_sigma tfs_z repetition_penalty repeat_penalty repeat_last_n length_penalty ' +
  'use_beam_search min_tokens ignore_eos stop_token_ids skip_special_tokens spaces_between_special_tokens ' +
  'include_stop_str_in_output truncate_prompt_tokens prompt_logprobs add_generation_prompt continue_final_message ' +
  'add_special_tokens echo priority return_tokens_as_token_ids return_token_ids mirostat mirostat_tau mirostat_eta ' +
  'dynatemp_range dynatemp_exponent xtc_probability xtc_threshold dry_multiplier dry_base dry_allowed_length ' +
  'dry_penalty_last_n n_keep n_probs min_keep samplers t_max_predict_ms timings_per_token return_progress ' +
  'post_sampling_probs reasoning_format parse_tool_calls cache_prompt enable_thinking thinking think include_reasoning ' +
  'separate_reasoning guided_decoding_backend usage keep_alive cache_control';

/** Strings that steer sampling and are compared with text, never fetched. */
const texts =
  'stop safety_identifier prompt_cache_key bad_words grammar guided_grammar guided_regex guided_choice ' +
  'guided_whitespace_pattern dry_sequence_breakers';

export const toolSpots: Readonly<Record<string, Spot>> = {
  tool: {
    may: 'object',
    closed: true,
    fault: 'tool',
    untyped: 'refused',
    types: 'function custom',
    keys: {
      text: 'name description',
      schema: 'function custom parameters format output_schema',
      flag: 'strict async defer_loading',
      word: 'cache_control',
      callers: 'allowed_callers',
    },
  },
  /** Which tool must be called: by name, never one of the provider's own. */
  toolChoice: {
    words: 'none auto required any validated',
    fault: 'tool',
    types: 'function custom allowed_tools',
    untyped: 'refused',
    keys: {
      toolNames: 'tools',
      allowedTools: 'allowed_tools',
      text: 'name',
      free: 'function custom',
      word: 'mode',
    },
  },
  allowedTools: { may: 'object', fault: 'tool', keys: { toolNames: 'tools', word: 'mode' } },
  toolNames: { may: 'list', each: 'toolName', fault: 'tool' },
  toolName: {
    may: 'object',
    fault: 'tool',
    types: 'function custom',
    untyped: 'refused',
    keys: { text: 'name', free: 'function custom' },
  },
};

export const openaiChat: Format = {
  model: 'required',
  parts: 'text image_url input_audio file refusal thinking reasoning',
  fields: {
    model: 'model',
    messages: 'messages',
    stream: 'stream',
    streamOptions: 'stream_options',
    maxTokens: 'max_tokens max_completion_tokens n_predict',
    answers: 'n best_of',
    user: 'user',
    metadata: 'metadata',
    tools: 'tools',
    longSchema: 'functions',
    toolChoice: 'tool_choice',
    tier: 'service_tier',
    free: 'function_call logit_bias',
    templateSettings: 'chat_template_kwargs',
    schema: 'response_format guided_json json_schema structured_outputs',
    text: texts,
    longContent: 'prediction',
    heard: 'audio',
    ollamaOptions: 'options',
    store: 'store',
    off: 'web_search_options',
    word: sampling,
  },
  spots: {
    ...toolSpots,
    longSchema: { like: 'schema', take: 'long' },
    /** Variables of the model's own template. vLLM also takes another template here, and arguments of the function that renders it. */
    templateSettings: { like: 'free', keys: { off: 'chat_template tokenize' } },
    streamOptions: { may: 'object', take: 'streamOptions', keys: { includeUsage: 'include_usage' } },
    includeUsage: { may: 'flag', take: 'includeUsage' },
    ollamaOptions: { may: 'object', keys: { maxTokens: 'num_predict', text: 'stop' } },
  },
};

export const openaiEmbeddings: Format = {
  model: 'required',
  parts: 'text image_url',
  fields: {
    model: 'model',
    input: 'input',
    user: 'user',
    text: 'prompt_name',
    // The second line is what TEI, vLLM, Ollama and the hosts of open models add.
    word:
      'dimensions encoding_format ' +
      'truncate truncate_prompt_tokens add_special_tokens normalize input_type output_dtype priority keep_alive',
    free: 'options',
  },
  spots: {
    /** Text, tokens, or a list of either. */
    input: { string: 'text', each: 'embedded', object: 'part', take: 'long' },
    embedded: { string: 'text', object: 'part' },
  },
};

/** A voice is a name; an object would name one that is kept at the provider. */
export const openaiSpeech: Format = {
  model: 'required',
  fields: {
    model: 'model',
    longText: 'input instructions',
    voice: 'voice',
    streamFormat: 'stream_format',
    flag: 'stream',
    // The second line is what local speech servers add.
    word:
      'response_format speed ' +
      'language lang_code sample_rate volume_multiplier normalization_options return_download_link temperature top_p seed',
  },
  spots: {
    voice: { may: 'string object', keys: { stored: 'id' } },
    streamFormat: { words: 'sse audio', take: 'streamFormat' },
  },
};

/** A form. `file` is bytes; a server that fetches instead has other fields for it (`url`), and they are not here. */
export const openaiTranscription: Format = {
  form: true,
  model: 'required',
  fields: {
    file: 'file',
    model: 'model',
    stream: 'stream',
    text: 'prompt keywords[] known_speaker_names[] hotwords',
    // The third line is what local speech servers add.
    word:
      'response_format language languages[] temperature timestamp_granularities[] include[] known_speaker_references[] chunking_strategy ' +
      'chunking_strategy[type] chunking_strategy[prefix_padding_ms] chunking_strategy[silence_duration_ms] chunking_strategy[threshold] ' +
      'vad_filter word_timestamps without_timestamps seed top_p top_k min_p repetition_penalty to_language',
  },
};
