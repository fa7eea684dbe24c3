/** The reader of JSON takes what JSON.parse takes, and nothing that can be read in two ways, in whatever pieces it comes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createJson, type JsonEvents } from '../../../proxies/llm/asked/json.ts';
import { hashText } from '../../../proxies/llm/asked/names.ts';
import type { Text } from '../../../proxies/llm/asked/piece.ts';
import type { Denial } from '../../../proxies/llm/denial.ts';

/** Builds the value again from what is told, and checks every span against the body. */
class Rebuild implements JsonEvents {
  keep = 1 << 20;
  identity = 0;
  value: unknown;
  readonly body: Buffer;
  readonly #open: { into: Record<string, unknown> | unknown[]; at: number }[] = [];
  #key = '';

  constructor(body: Buffer) {
    this.body = body;
  }

  key(text: Text, hash: number, decoded: string | undefined): Denial | undefined {
    this.#key = JSON.parse(`"${text.bytes.toString('utf8', text.from, text.to)}"`) as string;
    assert.equal(hash, hashText(this.#key));
    if (decoded !== undefined) assert.equal(decoded, this.#key);
    this.identity = hash;
    return undefined;
  }

  open(list: boolean, at: number): Denial | undefined {
    assert.equal(this.body[at], list ? 0x5b : 0x7b);
    this.#open.push({ into: this.#put(list ? [] : {}), at });
    return undefined;
  }

  close(end: number): Denial | undefined {
    const { into, at } = this.#open.pop() as { into: object; at: number };
    assert.deepEqual(into, JSON.parse(this.body.toString('utf8', at, end)));
    return undefined;
  }

  string(text: Text, at: number, end: number): Denial | undefined {
    assert.ok(text.whole);
    const value = JSON.parse(this.body.toString('utf8', at, end)) as string;
    assert.equal(JSON.parse(`"${text.bytes.toString('utf8', text.from, text.to)}"`), value);
    this.#put(value);
    return undefined;
  }

  number(text: Text, at: number, end: number): Denial | undefined {
    const source = this.body.toString('utf8', at, end);
    assert.ok(source.startsWith(text.bytes.toString('utf8', text.from, text.to)));
    this.#put(JSON.parse(source));
    return undefined;
  }

  literal(value: boolean | null, at: number, end: number): Denial | undefined {
    assert.equal(this.body.toString('utf8', at, end), String(value));
    this.#put(value);
    return undefined;
  }

  #put<T>(value: T): T {
    const outer = this.#open.at(-1)?.into;
    if (outer === undefined) this.value = value;
    else if (Array.isArray(outer)) outer.push(value);
    // A plain assignment would not make a key of `__proto__`.
    else
      Object.defineProperty(outer, this.#key, {
        value,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    return value;
  }
}

function read(body: Buffer, cuts: readonly number[] = []): { value: unknown } | { why: string } {
  const events = new Rebuild(body);
  const json = createJson(events);
  let from = 0;
  for (const to of [...[...cuts].sort((a, b) => a - b), body.length]) {
    const denial = json.push(body.subarray(from, to));
    if (denial) return { why: denial.reason };
    from = to;
  }
  const denial = json.end();
  return denial ? { why: denial.reason } : { value: events.value };
}

const whyNot = (body: string | Buffer, cuts?: number[]): string => {
  const result = read(Buffer.from(body as string), cuts);
  return 'why' in result ? result.why.replace('the body cannot be scanned: ', '') : 'read';
};

/** What the reader must say, found the slow way: by JSON.parse, and by a walk over the text for keys that occur twice. */
function expected(body: Buffer): unknown {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const open: (Set<string> | null)[] = [];
  for (const [token, isKey] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[[\]{}]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(null);
    else if (token === '}' || token === ']') open.pop();
    else if (isKey !== undefined) {
      const key = JSON.parse(token.slice(0, -isKey.length)) as string;
      if (open.at(-1)?.has(key)) return undefined;
      open.at(-1)?.add(key);
    }
  }
  return value;
}

const cuts = fc.array(fc.nat(400), { maxLength: 8 });
const within = (body: Buffer, at: readonly number[]): number[] =>
  at.map((each) => Math.min(each, body.length));

test('reads what JSON.stringify writes, as the same value, cut anywhere', () => {
  const body = fc.dictionary(
    fc.string({ unit: 'binary' }),
    fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' }),
  );
  fc.assert(
    fc.property(body, fc.constantFrom(0, 1, 3), cuts, (value, indent, at) => {
      const bytes = Buffer.from(JSON.stringify(value, null, indent));
      assert.deepEqual(read(bytes, within(bytes, at)), { value: JSON.parse(bytes.toString()) });
    }),
    { numRuns: 1500 },
  );
});

test('takes and refuses what JSON.parse does, and says the same however it is cut', () => {
  const pieces = [
    '{', '}', '[', ']', ',', ':', '"', '\\', '"a"', '"b":', '"a":1', '{"a":', '"\\u0061":2', '\\u00', '\\n', 'tru', 'true',
    'false', 'null', '-', '0', '01', '1', '12', '.', '.5', 'e', 'E+', '-3', '1e5', ' ', '\n', '\t', '\u00a0', '\ufeff', 'é', '🎈',
    '\0', '\x1f', '\x7f', "'", '/', '//', 'NaN', '"\\ud800"', '"__proto__":',
  ]; // biome-ignore format: a table of tokens
  const tokens = fc
    .array(fc.constantFrom(...pieces), { maxLength: 14 })
    .map((all) => Buffer.from(`{${all.join('')}`));
  const broken = fc
    .tuple(
      fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })),
      fc.array(fc.tuple(fc.nat(300), fc.nat(255), fc.nat(2)), { maxLength: 3 }),
    )
    .map(([value, changes]) => {
      const bytes = [...Buffer.from(JSON.stringify(value))];
      for (const [at, byte, how] of changes)
        bytes.splice(at % (bytes.length + 1), how === 0 ? 0 : 1, ...(how === 2 ? [] : [byte]));
      return Buffer.from(bytes);
    });
  let taken = 0;
  fc.assert(
    fc.property(
      fc.oneof(
        tokens,
        broken,
        fc.uint8Array({ maxLength: 20 }).map((all) => Buffer.from(all)),
      ),
      cuts,
      (body, at) => {
        const value = expected(body);
        const whole = read(body);
        if (value === undefined) assert.ok('why' in whole, body.toString());
        else {
          taken++;
          assert.deepEqual(whole, { value });
        }
        // Of two things that are wrong, which one is named may depend on the cuts; that it is refused does not.
        for (const each of [within(body, at), body.length < 100 ? [...body.keys()] : []]) {
          const again = read(body, each);
          if ('why' in whole) assert.ok('why' in again);
          else assert.deepEqual(again, whole);
        }
      },
    ),
    { numRuns: 6000 },
  );
  assert.ok(taken > 200, `only ${taken} were taken, so little was compared`);
});

test('refuses a key that occurs twice, however it is spelled', () => {
  const twice = 'the same key occurs twice in one object';
  assert.equal(whyNot('{"model":"a","model":"b"}'), twice);
  assert.equal(whyNot('{"model":"a","mod\\u0065l":"b"}'), twice);
  assert.equal(whyNot('{"mod\\u0065l":"a","model":"b"}'), twice);
  assert.equal(whyNot('{"é":1,"\\u00e9":2}', [3, 4, 5, 12]), twice);
  assert.equal(whyNot('{"m":[{"type":"text", "x":{"y":1},\n"type":"image_url"}]}'), twice);
  assert.equal(whyNot('{"a\\"":1,"a\\"":2}'), twice);
  const many = Array.from({ length: 100 }, (_, at) => `"k${at}":0`);
  assert.equal(whyNot(`{${many.join()}}`), 'read');
  for (const at of [0, 15, 16, 17, 99]) assert.equal(whyNot(`{${[...many, `"k${at}":0`].join()}}`), twice);
  assert.equal(whyNot('{"a":1,"b":{"a":1},"c":["a","a"],"d":"a"}'), 'read');
  assert.equal(whyNot('{"\\ud800":1,"\\ud801":2}'), 'read');
});

test('refuses what is not one JSON object in UTF-8', () => {
  for (const body of ['', '[]', '"x"', '1', 'null', '\ufeff{}', '}{', '"', '  ']) {
    assert.equal(whyNot(body), 'it is not a JSON object', JSON.stringify(body));
  }
  for (const body of [
    '{',
    '{"a":1}{}',
    '{"a":1,}',
    "{'a':1}",
    '{"a":NaN}',
    '{"a":"\n"}',
    '{"a":[1,]}',
    '{"a":01}',
    '{"a":1.}',
  ]) {
    assert.equal(whyNot(body), 'it is not JSON', JSON.stringify(body));
  }
  const bytes = [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]];
  for (const each of bytes) {
    const body = Buffer.concat([Buffer.from('{"a":"'), Buffer.from(each), Buffer.from('"}')]);
    assert.equal(whyNot(body), 'it is not UTF-8');
    assert.equal(whyNot(body, [...body.keys()]), 'it is not UTF-8');
  }
  assert.equal(whyNot(Buffer.from('{"a":1}', 'utf16le')), 'it is not JSON');
  assert.equal(whyNot(Buffer.from([0x7b, 0xe2])), 'it is not JSON');
});

test('refuses millions of brackets before they cost seconds', () => {
  const started = performance.now();
  assert.match(whyNot(`{"a":${'['.repeat(30_000_000)}`), /nests deeper/);
  assert.match(whyNot(`{"a":[${'[],'.repeat(10_000_000)}[]]}`), /more than 500000 values/);
  assert.match(whyNot(`{"${'k'.repeat(5000)}":1}`), /longer than 4096/);
  assert.ok(performance.now() - started < 1500);
});

test('keeps no more of a string than was asked for', () => {
  const told: [number, boolean][] = [];
  const events = new Rebuild(Buffer.alloc(0));
  events.keep = 100;
  events.open = events.close = () => undefined;
  events.string = (text) => {
    told.push([text.to - text.from, text.whole]);
    return undefined;
  };
  const json = createJson(events);
  json.push(Buffer.from('{"a":"'));
  for (let at = 0; at < 1000; at++) json.push(Buffer.alloc(10_000, 'x'));
  assert.equal(json.push(Buffer.from('"}')), undefined);
  assert.equal(json.end(), undefined);
  assert.deepEqual(told, [[100, false]]);
});
