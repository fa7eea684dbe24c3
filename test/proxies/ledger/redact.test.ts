/** What goes on record holds no credential that shows itself, and is otherwise what it was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { redactBytes, redactHeaders } from '../../../proxies/ledger/redact.ts';

const long = 'aB3dEfGh1JkLmN0pQrStUvWxYz2468aB3dEfGh1J';
/** Put together here, so that no scanner takes this file for a leak. */
const keys: string[] = [
  `sk-${long}`,
  `sk-proj-${long}_-${long}`,
  `sk-ant-api03-${long}`,
  `sk-or-v1-${long}`,
  `sk_live_${long}`,
  `rk_test_${long}`,
  `gsk_${long}`,
  `xai-${long}`,
  `AIza${long.slice(0, 35)}`,
  `ya29.${long}`,
  `ghp_${long}`,
  `gho_${long}`,
  `github_pat_${long}`,
  `glpat-${long.slice(0, 20)}`,
  `xoxb-123456789012-${long}`,
  `AKIA${'ABCDEFGH12345678'}`,
  `hf_${long}`,
  `AGE-SECRET-KEY-1${'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L'}`,
  `eyJ${long}.eyJ${long}.${long}`,
];

const redacted = (text: string): string => redactBytes(Buffer.from(text)).bytes.toString();

test('masks each shape, at the same length, and leaves what stands around', () => {
  for (const key of keys) {
    for (const [before, after] of [
      ['', ''],
      ['{"key":"', '"}'],
      ['Bearer ', '\n'],
      ['line\\n', '\\n'],
      ['\\u0041', '\\u0041'],
      ['key=', '&x=1'],
      ['ä', 'ä'],
    ] as const) {
      const { bytes, count } = redactBytes(Buffer.from(before + key + after));
      const what = `${before}|${key}|${after}`;
      assert.equal(bytes.toString(), before + '*'.repeat(key.length) + after, what);
      assert.equal(count, 1, what);
    }
  }
  assert.equal(redactBytes(Buffer.from(keys.join(' '))).count, keys.length);
});

test('masks a private key between its lines, in JSON and in JSON in JSON', () => {
  const body = `${'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n'.repeat(20)}`;
  for (const kind of ['', 'RSA ', 'EC ', 'OPENSSH ', 'ENCRYPTED ']) {
    const pem = `-----BEGIN ${kind}PRIVATE KEY-----\n${body}-----END ${kind}PRIVATE KEY-----\n`;
    const message = {
      role: 'user',
      content: `here:\n${pem} and "more"`,
      inner: JSON.stringify({ pem, after: 'x' }),
    };
    const text = JSON.stringify(message);
    const { bytes, count } = redactBytes(Buffer.from(text));
    assert.equal(count, 2);
    assert.equal(bytes.length, Buffer.byteLength(text));
    const parsed = JSON.parse(bytes.toString()) as typeof message;
    assert.match(parsed.content, /^here:\n[*\s]+ and "more"$/);
    assert.doesNotMatch(parsed.inner, /MII|BEGIN|END/);
    assert.match(parsed.inner, /","after":"x"\}$/);
    assert.doesNotMatch(redacted(pem), /MII/);
  }
  const half = JSON.stringify({
    a: `-----BEGIN PRIVATE KEY-----\n${body}`,
    b: '-----END PRIVATE KEY-----',
    c: 'stays',
  });
  assert.deepEqual(Object.keys(JSON.parse(redacted(half))), ['a', 'b', 'c']);
  assert.doesNotMatch(redacted(half), /MII/);
  assert.match(redacted(half), /stays/);
  const endless = JSON.stringify({ a: `-----BEGIN PRIVATE KEY-----${'\u0007é\\"'.repeat(20_000)}` });
  assert.equal(Object.keys(JSON.parse(redacted(endless))).length, 1);
});

test('words, identifiers and pictures are not keys', () => {
  const plain = [
    'a risk-averse task-force-of-the-whole-department desk-sk-1',
    'sk-short',
    'the AIza prefix, AKIA, ghp_, hf_model and xoxb',
    'toolu_01A09q90qw90lq917835lq9 call_abc chatcmpl-9zQkKxw1rYHsx2 msg_0123456789abcdef',
    `data:image/png;base64,${'iVBORw0KGgoAAAANSUhEUgAA/AIzaXYZ+sk'.repeat(100)}`,
    'https://example.org/eyJhbGciOi.eyJ',
    `AIza${long}`,
    `AKIA${long}`,
  ];
  for (const text of plain) {
    const bytes = Buffer.from(text);
    assert.equal(redactBytes(bytes).bytes, bytes, text);
  }
});

test('JSON stays JSON with the same shape and length, whatever it holds', () => {
  const text = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          ...keys,
          '\\',
          '"',
          '\n',
          '\u0001',
          '-----BEGIN PRIVATE KEY-----',
          '-----END PRIVATE KEY-----',
          '🙂',
        ),
        fc.string({ maxLength: 6 }),
      ),
    )
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.array(text, { maxLength: 4 }), (texts) => {
      const nested = JSON.stringify([...texts, JSON.stringify(texts)]);
      const { bytes, count } = redactBytes(Buffer.from(nested));
      assert.equal(bytes.length, Buffer.byteLength(nested));
      assert.equal((JSON.parse(bytes.toString()) as string[]).length, texts.length + 1);
      if (count === 0) assert.equal(bytes.toString(), nested);
      // Stars are all that differs.
      const [before, after] = [Buffer.from(nested), bytes];
      assert.ok(after.every((byte, at) => byte === before[at] || byte === 0x2a));
    }),
    { numRuns: 3000 },
  );
});

test('any bytes are taken, and hostile ones in linear time', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      assert.deepEqual(redactBytes(Buffer.from(bytes)).bytes, Buffer.from(bytes));
    }),
  );
  for (const unit of [
    'sk-',
    'eyJaaaaaaaaaaa.',
    ' eyJaaaaaaaaaaaa',
    '-----BEGIN ',
    '-----BEGIN PRIVATE KEY-----',
    '\\n',
    'xoxb-',
    ' AIzaaaaaaaaaaaaaaa',
  ]) {
    const started = performance.now();
    redactBytes(Buffer.from(unit.repeat(100_000)));
    assert.ok(performance.now() - started < 2000, unit);
  }
});

test('headers are masked by name and by what they hold', () => {
  assert.deepEqual(
    redactHeaders({
      authorization: 'Bearer abc',
      'Proxy-Authorization': 'Basic abc',
      'x-api-key': 'abc',
      'x-goog-api-key': 'abc',
      'api-key': 'abc',
      cookie: 'a=b',
      'set-cookie': ['a=b', 'c=d'],
      'x-amz-security-token': 'abc',
      'x-my-secret': 'abc',
      'x-user-password': 'abc',
      'ocp-apim-subscription-key': 'abc',
      'user-agent': 'node',
      accept: '*/*',
      'x-other': `see ${keys[0]}`,
      'x-list': ['a', 'b'],
      'x-none': undefined,
      'idempotency-key': 'abc',
      'x-ratelimit-remaining-tokens': '5',
    }),
    {
      authorization: 'Bearer ***',
      'Proxy-Authorization': 'Basic ***',
      'x-api-key': '***',
      'x-goog-api-key': '***',
      'api-key': '***',
      cookie: '***',
      'set-cookie': '***',
      'x-amz-security-token': '***',
      'x-my-secret': '***',
      'x-user-password': '***',
      'ocp-apim-subscription-key': '***',
      'user-agent': 'node',
      accept: '*/*',
      'x-other': `see ${'*'.repeat(keys[0]?.length ?? 0)}`,
      'x-list': 'a, b',
      // Its name says key, and no credential is ever worth showing for it.
      'idempotency-key': '***',
      'x-ratelimit-remaining-tokens': '5',
    },
  );
  assert.deepEqual(Object.keys(redactHeaders({ ['__proto__']: 'x', a: 'b' })), ['__proto__', 'a']);
});

test('a key without an end is masked as far as keys go, and is no fault', () => {
  for (const start of ['sk-', 'gsk_', 'ya29.', `eyJ${long}.`, `eyJ${long}.eyJ`]) {
    const text = start + 'a'.repeat(8_000_000);
    assert.equal(redactBytes(Buffer.from(text)).bytes.length, text.length, start);
  }
});
