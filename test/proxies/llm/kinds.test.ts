/** The tables of kinds and formats hold together: every route has a grammar, every word of a grammar is known, every kind says no in its own words. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { APIError as AnthropicError } from '@anthropic-ai/sdk';
import { APIError as OpenAIError } from 'openai';
import { grammarOf } from '../../../proxies/llm/asked/grammar.ts';
import { meaningOf } from '../../../proxies/llm/asked/names.ts';
import { deny } from '../../../proxies/llm/denial.ts';
import { formats } from '../../../proxies/llm/kinds/formats.ts';
import type { FormatName } from '../../../proxies/llm/kinds/kind.ts';
import { kinds } from '../../../proxies/llm/kinds/paths.ts';

const all = Object.keys(formats) as FormatName[];

test('each format compiles, and no two of its fields mean the same', () => {
  for (const name of all) {
    if (!formats[name].form) assert.ok(grammarOf(name).body);
    const fields = Object.values(formats[name].fields).flatMap((list) => list.split(' '));
    assert.equal(new Set(fields).size, fields.length, `a field of ${name} stands twice`);
    if (!formats[name].form) assert.equal(new Set(fields.map(meaningOf)).size, fields.length, name);
  }
});

/** What an SDK can send and this door does not take, each for a reason. */
const leftOut: Record<string, string> = {
  access_programs: 'a programme of the vendor, not a setting of the answer',
  betas: 'becomes a header',
  user_profile_id: 'becomes a header, which is not passed on',
  workspace_id: 'becomes a header, which is not passed on',
  billing_policy: 'somebody else would pay',
  fallback_credit_token: 'belongs to fallbacks',
  fallbacks: 'another model than the one that was allowed',
  compaction: 'a beta: what it keeps is not documented',
  thread: 'a conversation kept at the vendor',
};

test('each field that an SDK can send is decided: it is on the list, or left out by name', () => {
  const openai = 'openai/resources';
  const anthropic = '@anthropic-ai/sdk/resources';
  const sdks: [FormatName, string, string][] = [
    ['openai-chat', `${openai}/chat/completions/completions.d.ts`, 'ChatCompletionCreateParamsBase'],
    ['openai-responses', `${openai}/responses/responses.d.ts`, 'ResponseCreateParamsBase'],
    ['openai-embeddings', `${openai}/embeddings.d.ts`, 'EmbeddingCreateParams'],
    ['openai-speech', `${openai}/audio/speech.d.ts`, 'SpeechCreateParams'],
    ['openai-transcription', `${openai}/audio/transcriptions.d.ts`, 'TranscriptionCreateParamsBase'],
    ['anthropic-messages', `${anthropic}/messages/messages.d.ts`, 'MessageCreateParamsBase'],
    ['anthropic-messages', `${anthropic}/beta/messages/messages.d.ts`, 'MessageCreateParamsBase'],
    ['anthropic-count', `${anthropic}/messages/messages.d.ts`, 'MessageCountTokensParams'],
    ['ollama-chat', 'ollama/dist/browser.d.ts', 'ChatRequest'],
    ['ollama-generate', 'ollama/dist/browser.d.ts', 'GenerateRequest'],
    ['ollama-embed', 'ollama/dist/browser.d.ts', 'EmbedRequest'],
    ['ollama-embed', 'ollama/dist/browser.d.ts', 'EmbeddingsRequest'],
    ['ollama-show', 'ollama/dist/browser.d.ts', 'ShowRequest'],
  ];
  const modules = new URL('../../../node_modules/', import.meta.url);
  for (const [format, path, type] of sdks) {
    const source = readFileSync(new URL(path, modules), 'utf8').replaceAll(/\/\*.*?\*\//gs, '');
    const body = new RegExp(`interface ${type}\\b[^{]*{(.*?)^}`, 'ms').exec(source)?.[1] ?? '';
    const fields = [...body.matchAll(/^ {4}(\w+)\??:/gm)].map(([, name = '']) => name);
    assert.ok(fields.includes('model'), `${type} is not read as it is written`);
    const listed = new Set(
      Object.values(formats[format].fields).flatMap((list) => list.replaceAll(/\[.*?\]/g, '').split(' ')),
    );
    for (const field of fields) {
      assert.ok(listed.has(field) || leftOut[field], `${format} does not say what becomes of ${field}`);
    }
  }
});

test('each route has its format, and no path stands twice in one kind', () => {
  for (const kind of Object.values(kinds)) {
    const paths = kind.routes.map(({ method, path }) => `${method} ${path}`);
    assert.equal(new Set(paths).size, paths.length);
    for (const { method, path, format } of kind.routes) {
      assert.equal(format === 'listing', method === 'GET', path);
      assert.ok(all.includes(format));
      assert.equal(
        path.includes('{model}'),
        formats[format].model === 'in the path' || /^\/v1(beta)?(\/openai)?\/models\/\{model\}$/.test(path),
        path,
      );
    }
  }
});

test('the same path is the same format in every kind', () => {
  const formatOf = new Map<string, string>();
  for (const { method, path, format } of Object.values(kinds).flatMap(({ routes }) => routes)) {
    const key = `${method} ${path}`;
    assert.equal(formatOf.get(key) ?? format, format, key);
    formatOf.set(key, format);
  }
});

test('every kind says no so that its SDK shows the rule, the reason and the hint', () => {
  const denial = deny(402, 'budget-usd-day', 'it is spent', 'Wait until midnight UTC.');
  const text = /budget-usd-day.*it is spent.*Wait until midnight UTC/;
  const headers = new Headers();
  const body = (kind: keyof typeof kinds): never => kinds[kind].errorBody(denial) as never;
  assert.match(OpenAIError.generate(402, body('openai'), undefined, headers).message, text);
  assert.match(AnthropicError.generate(402, body('anthropic'), undefined, headers).message, text);
  assert.match((body('ollama') as { error: string }).error, text);
  const gemini = body('gemini') as { error: { code: number; message: string; status: string } };
  assert.match(gemini.error.message, text);
  assert.deepEqual([gemini.error.code, gemini.error.status], [402, 'RESOURCE_EXHAUSTED']);
});
