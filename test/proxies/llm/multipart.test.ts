/** A form is read strictly: what two servers could read in two ways is not read at all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createScan, type Scanned } from '../../../proxies/llm/asked/scan.ts';
import type { Denial } from '../../../proxies/llm/denial.ts';
import { kinds } from '../../../proxies/llm/kinds/paths.ts';

const type = 'multipart/form-data; boundary=XX';

function scan(
  body: string | Buffer,
  contentType: string | undefined = type,
  cuts: number[] = [],
): Scanned | Denial {
  const bytes = Buffer.from(body as string, 'latin1');
  const scanning = createScan('openai-transcription', { kind: kinds.openai, contentType });
  let from = 0;
  for (const to of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    const denial = scanning.push(bytes.subarray(from, to));
    if (denial) return denial;
    from = to;
  }
  return scanning.end();
}

const field = (name: string, value: string): string =>
  `--XX\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const file = (bytes = 'RIFF', name = 'file'): string =>
  `--XX\r\nContent-Disposition: form-data; name="${name}"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n${bytes}\r\n`;
const form = (...parts: string[]): string => `${parts.join('')}--XX--\r\n`;
const model = field('model', 'whisper-1');

const whyNot = (body: string, contentType?: string): string => {
  const scanned = scan(body, contentType);
  return 'allow' in scanned ? scanned.rule : 'read';
};

test('reads the form that the SDK sends, byte by byte or at once', async () => {
  const sent = new FormData();
  sent.append('file', new Blob(['RIFF\r\n--not the boundary\r\n--'], { type: 'audio/wav' }), 'ä "1".wav');
  sent.append('model', 'whisper-1');
  sent.append('response_format', 'json');
  sent.append('prompt', 'see https://example.com');
  sent.append('stream', 'true');
  sent.append('timestamp_granularities[]', 'word');
  sent.append('timestamp_granularities[]', 'segment');
  sent.append('include[]', 'logprobs');
  sent.append('chunking_strategy[type]', 'server_vad');
  const request = new Request('http://x', { method: 'POST', body: sent });
  const contentType = request.headers.get('content-type') as string;
  const bytes = Buffer.from(await request.arrayBuffer());
  const scanned = scan(bytes, contentType) as Scanned;
  assert.equal(scanned.model, 'whisper-1');
  assert.equal(scanned.stream, true);
  assert.equal(scanned.shape, 'multipart');
  assert.equal(bytes.toString('utf8', scanned.modelSpan?.from, scanned.modelSpan?.to), 'whisper-1');
  assert.equal(scanned.parts.length, 1);
  assert.equal(
    bytes.toString('utf8', scanned.parts[0]?.from, scanned.parts[0]?.to),
    'RIFF\r\n--not the boundary\r\n--',
  );
  assert.deepEqual(scan(bytes, contentType, [...bytes.keys()]), scanned);
});

test('any bytes of a file, cut anywhere, are the file', () => {
  const bytes = fc
    .array(fc.constantFrom('\r', '\n', '-', 'X', '\0', 'a', '\r\n--X', '\r\n--'), { maxLength: 30 })
    .map((all) => all.join(''));
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(300), { maxLength: 8 }), (content, at) => {
      fc.pre(!content.includes('\r\n--XX') && !`${content}\r\n`.includes('\r\n--XX'));
      const body = form(model, file(content));
      const scanned = scan(
        body,
        type,
        at.map((each) => Math.min(each, body.length)),
      ) as Scanned;
      const [span] = scanned.parts;
      assert.equal(span ? body.slice(span.from, span.to) : '', content);
    }),
    { numRuns: 1000 },
  );
});

test('refuses a form that can be read in two ways', () => {
  assert.equal(whyNot(form(model, file())), 'read');
  assert.equal(whyNot(form(model, file()).slice(0, -2)), 'read');
  const cases: Record<string, string> = {
    'a field twice': form(model, model, file()),
    'two files': form(model, file(), file()),
    'a preamble': `x\r\n${form(model, file())}`,
    'an epilogue': `${form(model, file())}x`,
    'a cut end': form(model, file()).slice(0, -4),
    'no end': `${model}${file()}`,
    'bare line feeds': form(model, file()).replaceAll('\r\n', '\n'),
    'blanks behind the boundary': form(model, file()).replace('--XX\r\n', '--XX \r\n'),
    'a folded header': form(model, file()).replace('form-data; name', 'form-data;\r\n name'),
    'another disposition': form(model, file()).replace('form-data;', 'attachment;'),
    'a name twice': form(model, file()).replace('name="model"', 'name="model"; name="x"'),
    'an extended name': form(model, file()).replace('filename=', "filename*=utf-8''x; filename="),
    'a quoted quote': form(model, file()).replace('name="model"', 'name="mod\\"el"'),
    'an encoding': form(model, file()).replace(
      'Content-Type: audio/wav',
      'Content-Transfer-Encoding: base64',
    ),
    'a type twice': form(model, file()).replace('audio/wav', 'audio/wav\r\nContent-Type: audio/mp3'),
    'a control character': form(model, file()).replace('a.wav', 'a\0.wav'),
    'long headers': form(model, file()).replace('audio/wav', 'a'.repeat(5000)),
    'a file that is text': form(model, field('file', 'https://a.example/x.wav')),
    'a text that is a file': form(file('whisper-1', 'model'), file()),
    'no file': form(model),
    'a long field': form(model, field('prompt', 'x'.repeat(70_000)), file()),
    'not UTF-8': form(model, field('language', '\xff'), file()),
    'many parts': form(model, file(), field('include[]', 'x').repeat(100)),
    'an odd stream': form(model, file(), field('stream', 'True')),
    JSON: '{"model":"whisper-1"}',
    nothing: '',
  };
  for (const [what, body] of Object.entries(cases)) assert.equal(whyNot(body), 'cannot-scan', what);
  for (const contentType of [
    '',
    'application/json',
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary=XX; boundary=YY',
    'multipart/form-data; boundary=XX; charset=utf-16',
    'multipart/mixed; boundary=XX',
    `multipart/form-data; boundary=${'X'.repeat(71)}`,
  ]) {
    assert.equal(whyNot(form(model, file()), contentType), 'cannot-scan', contentType);
  }
  assert.equal(whyNot(form(model, file()), 'multipart/form-data; boundary="XX"'), 'read');
});

test('only listed fields pass, and none of them is an address', () => {
  for (const [name, value] of [
    ['url', 'https://a.example/x.wav'],
    ['MODEL', 'x'],
    ['tools', '[]'],
  ] as const) {
    assert.equal(whyNot(form(model, field(name, value), file())), 'field-not-listed', name);
  }
  assert.equal(
    whyNot(form(model, field('known_speaker_references[]', 'https://a.example/x.wav'), file())),
    'url-content',
  );
  assert.equal(
    whyNot(form(model, field('known_speaker_references[]', 'data:audio/wav;base64,AA'), file())),
    'read',
  );
  assert.equal(whyNot(form(file())), 'no-model');
  assert.equal(whyNot(form(field('model', ''), file())), 'no-model');
});

test('a large file is not kept', () => {
  const scanning = createScan('openai-transcription', { kind: kinds.openai, contentType: type });
  scanning.push(Buffer.from(`${model}${file().slice(0, -6)}`));
  const chunk = Buffer.alloc(64 * 1024, '\r');
  globalThis.gc?.();
  const before = process.memoryUsage().arrayBuffers;
  for (let at = 0; at < 1000; at++) assert.equal(scanning.push(chunk), undefined);
  assert.ok(process.memoryUsage().arrayBuffers - before < 80 * 1024 * 1024);
  scanning.push(Buffer.from('\r\n--XX--\r\n'));
  assert.ok(!('allow' in scanning.end()));
});
