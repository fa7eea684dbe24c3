/** An SDK's way through a real door, written down: provider, door, and a recorder where the SDK connects. For the sdks-*.test.ts beside it. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { KindName } from '../../../proxies/llm/kinds/kind.ts';
import type { Provider } from '../../provider/provider.ts';
import { createRecorder, type Exchange, type Heard, replay } from '../../provider/recorder.ts';
import { type Rig, type RigOptions, realKey, startBoth } from './rig.ts';

export type Through = {
  /** Where the SDK connects. */
  url: string;
  provider: Provider;
  rig: Rig;
  exchanges: Exchange[];
  /** Asks the provider everything again, directly, and compares; returns how many exchanges there were. */
  compare(): Promise<number>;
};

/** What the door may add to a request: the agent's tag, a wish for usage, and that nothing is stored. */
const added: Record<KindName, (body: Record<string, unknown>) => void> = {
  openai(body) {
    delete body.user;
    delete body.store;
    delete body.stream_options;
  },
  anthropic(body) {
    delete body.metadata;
  },
  gemini() {},
  ollama(body) {
    delete body.user;
    delete body.stream_options;
  },
};

const keyHeaders: Record<KindName, Record<string, string>> = {
  openai: { authorization: `Bearer ${realKey}` },
  anthropic: { 'x-api-key': realKey },
  gemini: { 'x-goog-api-key': realKey },
  ollama: { authorization: `Bearer ${realKey}` },
};

export async function startThrough(
  t: TestContext,
  kind: KindName,
  options: RigOptions = {},
): Promise<Through> {
  const { provider, rig } = await startBoth(t, kind, options);
  const recorder = await createRecorder(rig.url);
  t.after(() => recorder.close());
  return {
    url: recorder.url,
    provider,
    rig,
    exchanges: recorder.exchanges,
    async compare() {
      const received = [...provider.requests];
      assert.equal(received.length, recorder.exchanges.length, 'each request reached the provider once');
      for (const [at, exchange] of recorder.exchanges.entries()) {
        const { method, url, raw, headers } = received[at] as Provider['requests'][number];
        const what = `${exchange.method} ${exchange.path}`;
        assert.equal(method, exchange.method);
        const direct = await replay(provider.url, exchange, keyHeaders[kind], url);
        assert.deepEqual(tellingOf(exchange.heard), tellingOf(direct), what);
        assert.ok(exchange.heard && exchange.heard.body.length > 0, what);
        assert.ok(exchange.heard.body.equals(direct.body), `${what}: the same bytes`);
        assertSameAsk(kind, exchange.body, raw, headers['content-type'], what);
      }
      return recorder.exchanges.length;
    },
  };
}

/** Status and headers; not those of the connection. */
function tellingOf(heard: Heard | undefined): unknown {
  const {
    date,
    connection,
    'keep-alive': alive,
    'transfer-encoding': coding,
    ...rest
  } = heard?.headers ?? {};
  return { status: heard?.status, headers: rest };
}

/** What the provider got is what the SDK sent, but for what the door says it adds. */
function assertSameAsk(
  kind: KindName,
  sent: Buffer,
  got: Buffer,
  type: string | undefined,
  what: string,
): void {
  if (sent.length === 0 || /^multipart\//.test(type ?? '')) {
    assert.ok(sent.equals(got), what);
    return;
  }
  const bodies = [sent, got].map((bytes) => {
    const body = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    added[kind](body);
    return body;
  });
  assert.deepEqual(bodies[1], bodies[0], what);
}
