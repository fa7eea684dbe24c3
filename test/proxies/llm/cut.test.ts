/** The error at a cut is one that unmodified SDKs show as it is, wherever the stream was cut; and it is never an end. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { cutEvent } from '../../../proxies/llm/answer/cut.ts';
import { createReader } from '../../../proxies/llm/answer/reader.ts';
import { deny } from '../../../proxies/llm/denial.ts';
import type { FormatName } from '../../../proxies/llm/kinds/kind.ts';

const denial = deny(502, 'upstream-cut', 'the provider went away', 'Ask again.');
const said = /Holdfast \(upstream-cut\): the provider went away/;
const sse = 'text/event-stream';
const ndjson = 'application/x-ndjson';

/** A server that sends the beginning, the cut's last event, and is gone. */
async function served(type: string, text: string, ask: (url: string) => Promise<unknown>): Promise<void> {
  const server = createServer((_, res) => {
    res.writeHead(200, { 'content-type': type });
    res.write(text, () => setTimeout(() => res.destroy(), 20));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  try {
    await ask(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

const drained = async (stream: AsyncIterable<unknown>): Promise<void> => {
  for await (const _part of stream);
};
const messages = [{ role: 'user' as const, content: 'hello' }];

const clients: { format: FormatName; type: string; begun: string; ask(url: string): Promise<void> }[] = [
  {
    format: 'openai-chat',
    type: sse,
    begun: 'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n',
    ask: async (url) =>
      drained(
        await new OpenAI({
          baseURL: url,
          apiKey: 'x',
          maxRetries: 0,
          logLevel: 'off',
        }).chat.completions.create({
          model: 'm',
          messages,
          stream: true,
        }),
      ),
  },
  {
    format: 'openai-responses',
    type: sse,
    begun: 'event: response.created\ndata: {"type":"response.created","response":{}}\n\n',
    ask: async (url) =>
      drained(
        await new OpenAI({ baseURL: url, apiKey: 'x', maxRetries: 0, logLevel: 'off' }).responses.create({
          model: 'm',
          input: 'x',
          stream: true,
        }),
      ),
  },
  {
    format: 'anthropic-messages',
    type: sse,
    begun: 'event: message_start\ndata: {"type":"message_start","message":{"content":[]}}\n\n',
    ask: async (url) =>
      drained(
        await new Anthropic({ baseURL: url, apiKey: 'x', maxRetries: 0, logLevel: 'off' }).messages.create({
          model: 'm',
          messages,
          max_tokens: 9,
          stream: true,
        }),
      ),
  },
  {
    format: 'gemini-generate',
    type: sse,
    begun: 'data: {"candidates":[{"content":{"parts":[{"text":"Hel"}]}}]}\r\n\r\n',
    ask: async (url) =>
      drained(
        await new GoogleGenAI({ apiKey: 'x', httpOptions: { baseUrl: url } }).models.generateContentStream({
          model: 'm',
          contents: 'x',
        }),
      ),
  },
  {
    format: 'ollama-chat',
    type: ndjson,
    begun: '{"message":{"role":"assistant","content":"Hel"},"done":false}\n',
    ask: async (url) => drained(await new Ollama({ host: url }).chat({ model: 'm', messages, stream: true })),
  },
];

test('each SDK shows the error of a cut between two events', async () => {
  for (const { format, type, begun, ask } of clients) {
    const last = cutEvent(format, type, denial, true);
    await served(type, `${begun}${last}`, (url) => assert.rejects(ask(url), said, format));
  }
});

test('a cut in the middle of an event is an error for each of them too', async (t) => {
  // The ollama package says so when it meets a line that is none.
  t.mock.method(console, 'warn', () => {});
  for (const { format, type, begun, ask } of clients) {
    const last = cutEvent(format, type, denial);
    await served(type, `${begun}${begun.slice(0, -12)}${last}`, (url) => assert.rejects(ask(url)));
  }
});

test('a reader sees an error and no end', () => {
  for (const { format, type, begun } of clients) {
    for (const half of ['', begun.slice(0, 20)]) {
      const reader = createReader(format, type);
      reader.push(Buffer.from(`${begun}${half}${cutEvent(format, type, denial)}`));
      const { error, ended } = reader.end();
      assert.equal(ended, false, format);
      assert.ok(error, format);
    }
  }
});

test('where a format has no place for an error, there is none', () => {
  assert.equal(cutEvent('openai-chat', 'application/json', denial), undefined);
  assert.equal(cutEvent('gemini-generate', 'application/json; charset=UTF-8', denial), undefined);
  assert.equal(cutEvent('openai-speech', 'audio/mpeg', denial), undefined);
  assert.equal(cutEvent('openai-transcription', 'text/plain', denial), undefined);
});
