/** What models cost: an exact name at an exact host, the owner's word before ours, and sums that were worked out by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { KindName, OwnPrice, Provider } from '../../../../proxies/llm/kinds/kind.ts';
import { nanoFromUsd, usdText } from '../../../../proxies/llm/spend/money.ts';
import {
  type Billed,
  billOf,
  boundOf,
  costOf,
  type Price,
  priceOf,
} from '../../../../proxies/llm/spend/price.ts';
import { vendors } from '../../../../proxies/llm/spend/prices.ts';

const hosts: Record<string, [KindName, string]> = {
  openai: ['openai', 'https://api.openai.com/v1'],
  anthropic: ['anthropic', 'https://api.anthropic.com'],
  gemini: ['gemini', 'https://generativelanguage.googleapis.com'],
  groq: ['openai', 'https://api.groq.com/openai/v1'],
  deepseek: ['openai', 'https://api.deepseek.com'],
  openrouter: ['openai', 'https://openrouter.ai/api/v1'],
  ollama: ['ollama', 'http://192.168.1.7:11434'],
};

function at(name: string, more: Partial<Provider> = {}): Provider {
  const [kind, baseUrl] = hosts[name] ?? ['openai', 'http://127.0.0.1:8000/v1'];
  return { name, kind, baseUrl, ...more };
}

function paid(provider: Provider, model: string, day = '2026-11-21'): Exclude<Price, { free: true }> {
  const price = priceOf(provider, model, new Date(`${day}T12:00:00Z`));
  assert.ok(price && !price.free, `${model} has no price at ${provider.name}`);
  return price;
}

const million = 1_000_000;

test('each row names its source and its day, and no name stands twice at a host', () => {
  for (const vendor of vendors) {
    const names = new Set<string>();
    for (const row of vendor.rows) {
      assert.match(row.source ?? vendor.source, /^https:\/\//);
      assert.match(row.dated ?? vendor.dated, /^2026-\d\d-\d\d$/);
      const [input, cached, output] = row.usd;
      assert.ok(input > 0 && cached > 0 && cached <= input && output >= 0, row.models.join());
      for (const name of row.models) {
        assert.match(name, /^[a-z0-9./#-]+$/);
        assert.ok(!names.has(`${name} ${row.from}`), `${name} stands twice`);
        names.add(`${name} ${row.from}`);
      }
    }
  }
});

test('a dearer variant is not taken for the model that it is named after', () => {
  for (const [cheap, dear, times] of [
    ['gpt-5', 'gpt-5-pro', 12],
    ['gpt-5.2', 'gpt-5.2-pro', 12],
    ['o3', 'o3-pro', 10],
    ['o1', 'o1-pro', 10],
    ['gpt-4o', 'gpt-4o-2024-05-13', 2],
  ] as const)
    assert.equal(paid(at('openai'), dear).inputNano, paid(at('openai'), cheap).inputNano * times, dear);
  assert.equal(paid(at('openai'), 'gpt-4o-2024-08-06').inputNano, 2500);
  assert.equal(paid(at('openai'), 'gpt-6-sol-2026-09-22').inputNano, 2000);
  assert.equal(paid(at('anthropic'), 'claude-haiku-4-5-20251001').outputNano, 5000);
});

test('what is not on the list has no price', () => {
  for (const model of [
    '',
    'gpt-5-ultra',
    'gpt-5-',
    ' gpt-5',
    'GPT-5',
    'gpt-5\n',
    'gpt-5-2025-08-08',
    'gpt-6-sol-2026-09-2x',
    'gpt-6-sol-####-##-##',
    'ft:gpt-4o-2024-08-06:acme::abc',
    'gpt-4o-audio-preview',
    'whisper-1',
    'tts-1',
    'constructor',
    '__proto__',
  ])
    assert.equal(priceOf(at('openai'), model), undefined, model);
  assert.equal(priceOf(at('gemini'), 'gemini-embedding-2'), undefined);
});

test('a known name elsewhere is not priced by the vendor’s list', () => {
  for (const [kind, baseUrl] of [
    ['openai', 'https://llm.example.com/v1'],
    ['openai', 'http://api.openai.com/v1'],
    ['openai', 'https://api.openai.com:8443/v1'],
    ['openai', 'https://api.openai.com.example.com/v1'],
    ['openai', 'https://example.com/api.openai.com'],
    ['anthropic', 'https://api.openai.com/v1'],
    ['openai', 'not a url'],
  ] as const)
    assert.equal(priceOf({ name: 'x', kind, baseUrl }, 'gpt-5'), undefined, baseUrl);
});

test('a model on a machine of one’s own is free, a cloud model behind the same name is not', () => {
  assert.deepEqual(priceOf(at('ollama'), 'qwen3:8b')?.free, true);
  assert.equal(priceOf(at('ollama'), 'gpt-oss:120b-cloud'), undefined);
  assert.equal(priceOf(at('ollama'), 'glm-4.6:cloud'), undefined);
  assert.equal(priceOf(at('ollama', { baseUrl: 'https://ollama.com' }), 'gpt-oss:120b'), undefined);
  assert.equal(
    priceOf(at('vllm'), 'qwen3'),
    undefined,
    'whether a server is one’s own is for the owner to say',
  );
});

test('the owner’s word goes before the list, and the most exact of the owner’s words before the others', () => {
  const price: OwnPrice = { inputUsdPerMillion: 1, outputUsdPerMillion: 2 };
  const prices: Record<string, OwnPrice> = {
    '*': { inputUsdPerMillion: 9, outputUsdPerMillion: 9 },
    'gpt-*': { inputUsdPerMillion: 3, outputUsdPerMillion: 4 },
    'gpt-5': { free: true },
  };
  assert.equal(paid(at('openai', { price }), 'gpt-5').inputNano, 1000);
  assert.equal(priceOf(at('openai', { price, prices }), 'gpt-5')?.free, true);
  assert.equal(paid(at('openai', { price, prices }), 'gpt-4o').outputNano, 4000);
  assert.equal(paid(at('openai', { price, prices }), 'o3').outputNano, 9000);
  assert.equal(paid(at('openai', { price }), 'anything').source, 'holdfast.yaml');
  const own = paid(at('anthropic', { price }), 'claude-x');
  assert.deepEqual([own.cachedNano, own.cacheWriteNano, own.cacheWriteLongNano], [1000, 1250, 2000]);
});

test('a price that only a header says is unknown without it, and bounded before', () => {
  const price = paid(at('litellm', { price: { costHeader: 'X-LiteLLM-Response-Cost' } }), 'anything');
  assert.equal(price.header, 'x-litellm-response-cost');
  assert.equal(costOf(price, { in: 10, out: 10 }), undefined);
  assert.equal(billOf(price, { tokens: { in: 10, out: 10 }, costUsd: '0.000123' }), 123_000);
  assert.equal(billOf(price, { tokens: { in: 10, out: 10 }, costUsd: '0.0' }), undefined);
  assert.equal(boundOf(price, { in: million, out: 0 }), 5_000_000_000);
});

test('a login is billed as a quota: no money, whatever it used', () => {
  const login = { deviceUrl: 'https://x.example/d', tokenUrl: 'https://x.example/t', clientId: 'c' };
  const price = paid(at('openai', { login }), 'gpt-5');
  assert.equal(costOf(price, { in: 10, out: 10 }), 0);
  assert.equal(boundOf(price, { in: 10, out: 10 }), 0);
});

test('a promotion ends on its day', () => {
  const cost = (day: string) => costOf(paid(at('gemini'), 'gemini-3.8-flash', day), { in: 100, out: 10 });
  assert.equal(cost('2026-12-31'), 112_500);
  assert.equal(cost('2027-01-01'), 225_000);
});

const sums: [string, string, Billed, number][] = [
  // 700 x 1250 + 300 x 125 + 500 x 10000
  ['openai', 'gpt-5', { in: 1000, cached: 300, out: 500, reasoning: 400 }, 5_912_500],
  // 4000 x 2000 + 4000 x 100 + 1500 x 2500 + 500 x 5000 + 100 x 10000
  [
    'openai',
    'gpt-6.2-sol',
    { in: 10_000, cached: 4000, cacheWrite: 2000, cacheWriteLong: 500, out: 100 },
    15_650_000,
  ],
  // 271999 x 2500 + 10 x 15000, and one token more: 272000 x 5000 + 10 x 22500
  ['openai', 'gpt-5.4', { in: 271_999, out: 10 }, 680_147_500],
  ['openai', 'gpt-5.4', { in: 272_000, out: 10 }, 1_360_225_000],
  // 1000 x 150000 + 10 x 600000
  ['openai', 'o1-pro', { in: 1000, out: 10 }, 156_000_000],
  // 3 x 20: nothing comes out of an embedding
  ['openai', 'text-embedding-3-small', { in: 3 }, 60],
  ['openai', 'text-embedding-3-small', { in: 3, out: 0 }, 60],
  // 50 x 4000 + 100000 x 200 + 2000 x 5000 + 400 x 20000, then the writes at 8000
  [
    'anthropic',
    'claude-opus-5-5',
    { in: 102_050, cached: 100_000, cacheWrite: 2000, cacheWriteLong: 0, out: 400 },
    38_200_000,
  ],
  [
    'anthropic',
    'claude-opus-5-5',
    { in: 102_050, cached: 100_000, cacheWrite: 2000, cacheWriteLong: 2000, out: 400 },
    44_200_000,
  ],
  ['anthropic', 'claude-opus-5-5', { in: 102_050, cached: 100_000, cacheWrite: 2000, out: 400 }, 44_200_000],
  // 10 x 1000 + 5 x 5000
  ['anthropic', 'claude-haiku-4-5', { in: 10, out: 5 }, 35_000],
  // 1000 x 300 + 10 x 15000: read from the cache, not as input, which is what a naive sum makes ten times too much
  ['anthropic', 'claude-sonnet-4-6', { in: 1000, cached: 1000, out: 10 }, 450_000],
  // 100001 x 500 + 2500
  ['anthropic', 'claude-haiku-5-5', { in: 100_001, out: 1 }, 50_003_000],
  // 200000 x 1250 + 10 x 10000, and one token more: 200001 x 2500 + 10 x 15000
  ['gemini', 'gemini-2.5-pro', { in: 200_000, out: 10 }, 250_100_000],
  ['gemini', 'gemini-2.5-pro', { in: 200_001, out: 10 }, 500_152_500],
  // 500 x 300 + 400 x 1000 + 100 x 30 + 10 x 2500
  ['gemini', 'gemini-2.5-flash', { in: 1000, audio: 400, cached: 100, out: 10 }, 578_000],
  // 1 x 14, and 383.3 rounded up
  ['deepseek', 'deepseek-v4-flash', { in: 1, cached: 1, out: 0 }, 14],
  ['openrouter', 'google/gemini-2.5-flash', { in: 1, cacheWrite: 1, out: 0 }, 384],
  // 1000 x 75 + 500 x 37.5 + 7 x 300
  ['groq', 'openai/gpt-oss-20b', { in: 1500, cached: 500, out: 7 }, 95_850],
  // a paid model never costs nothing
  ['openai', 'gpt-5', { in: 0, out: 0 }, 1],
  // parts that are more than their whole are billed
  ['openai', 'gpt-5', { in: 10, cached: 1000, out: 0 }, 125_000],
];

test('what an exchange cost, worked out by hand for each provider', () => {
  for (const [name, model, tokens, nano] of sums)
    assert.equal(costOf(paid(at(name), model), tokens), nano, `${model} ${JSON.stringify(tokens)}`);
});

test('a count that is none is unknown, and so is its cost', () => {
  const price = paid(at('openai'), 'gpt-5');
  for (const tokens of [
    {},
    { in: 1 },
    { out: 1 },
    { in: -1, out: 1 },
    { in: 1.5, out: 1 },
    { in: Number.NaN, out: 1 },
    { in: 1, out: Number.POSITIVE_INFINITY },
    { in: 1, out: 1e12 },
    { in: 1, out: 1, cached: -5 },
  ])
    assert.equal(costOf(price, tokens), undefined, JSON.stringify(tokens));
  assert.equal(costOf({ free: true, source: 'own' }, {}), 0);
});

test('a sum is exact where floats are not, and the reservation of a request is never below its plain cost', () => {
  const row = fc.constantFrom(
    ...vendors.flatMap(({ kind, host, rows }) =>
      rows.map((each) => ({ kind, host, model: (each.models[0] ?? '').replaceAll('#', '1') })),
    ),
  );
  fc.assert(
    fc.property(
      row,
      fc.nat(2 * million),
      fc.nat(200_000),
      fc.nat(2 * million),
      ({ kind, host, model }, input, out, read) => {
        const price = paid({ name: 'x', kind, baseUrl: `https://${host}` }, model);
        const cached = Math.min(read, input);
        const cost = costOf(price, { in: input, cached, out });
        const rates = price.above && input > price.above.tokens ? price.above.rates : price;
        const float = (input - cached) * rates.inputNano + cached * rates.cachedNano + out * rates.outputNano;
        assert.ok(cost !== undefined && Number.isSafeInteger(cost) && cost >= 1);
        assert.ok(
          cost >= float - 1e-3 && cost < Math.max(float, 0) + 1.001,
          `${model}: ${cost} for ${float}`,
        );
        assert.ok(boundOf(price, { in: input, out }) >= cost);
      },
    ),
  );
});

test('money that somebody else says is a plain number above zero, rounded up', () => {
  for (const [usd, nano] of [
    ['0.000123', 123_000],
    ['1.2e-05', 12_000],
    ['1e-12', 1],
    [0.1 + 0.2, 300_000_000],
    ['5', 5_000_000_000],
    ['0', undefined],
    ['0.0', undefined],
    [0, undefined],
    [-1, undefined],
    ['-1', undefined],
    ['', undefined],
    [' 1', undefined],
    ['0x10', undefined],
    ['1,5', undefined],
    ['Infinity', undefined],
    [Number.NaN, undefined],
    ['1e99', undefined],
    [undefined, undefined],
  ] as const)
    assert.equal(nanoFromUsd(usd), nano, String(usd));
  assert.deepEqual([0, 4_980_000_000, 12_000, 5_000_000_000].map(usdText), [
    '0.00',
    '4.98',
    '0.000012',
    '5.00',
  ]);
});
