/** One answer over the whole way: gateway, dialer, the built-in agent, the practice model and a real tools door. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createAgent } from '../../appliance/agent/server.ts';
import { stream } from '../../appliance/socket.ts';
import { openToolsDoor, type ToolsDoor } from '../agent/toolsdoor.ts';
import { createProvider, type Provider } from '../provider/provider.ts';
import { type Chat, openChat, until } from './chat.ts';

describe('an answer over the whole way', () => {
  let provider: Provider;
  let tools: ToolsDoor;
  let agent: Server;
  let chat: Chat;
  const model = { baseUrl: '', key: 'placeholder', name: 'practice' };

  before(async () => {
    provider = await createProvider();
    tools = await openToolsDoor(async (command) => `ran ${command}`);
    model.baseUrl = `${provider.url}/v1`;
    agent = createAgent({ agent: 'main', instructions: '', model, toolsUrl: tools.url });
    agent.listen(0, '127.0.0.1');
    await once(agent, 'listening');
    chat = await openChat({ guestPort: (agent.address() as AddressInfo).port });
  });
  after(async () => {
    await chat.close();
    agent.close();
    agent.closeAllConnections();
    await tools.close();
    await provider.close();
  });

  type Event = { event: string; text?: string; reason?: string };
  const ask = async (text: string, signal?: AbortSignal): Promise<Event[]> => {
    const events: Event[] = [];
    const body = { agent: 'main', text, by: 'cli' };
    for await (const line of stream(chat.socket('turn'), 'POST /turn', body, signal ? { signal } : {})) {
      events.push(line as Event);
    }
    return events;
  };
  const said = (events: Event[]): string =>
    events.map((each) => (each.event === 'delta' ? each.text : '')).join('');

  it('comes as the model streams', async () => {
    const events = await ask('hello over there');
    assert.equal(said(events), 'You said: hello over there');
    assert.equal(events.at(-1)?.event, 'done');
  });

  it('holds the output of a tool', async () => {
    assert.match(said(await ask('run: ls /workspace')), /ran ls \/workspace/);
    assert.deepEqual(tools.calls, ['ls /workspace']);
  });

  it('fails in words when the model is cut, refuses or is not there', async () => {
    model.name = 'practice-cut';
    const cut = await ask('one two three four five');
    assert.match(said(cut), /^You/);
    assert.match(cut.at(-1)?.reason ?? '', /model's answer was cut off/);
    model.name = 'practice-error';
    assert.match((await ask('hello')).at(-1)?.reason ?? '', /the model failed: The server had an error/);
    model.name = '';
    assert.match((await ask('hello')).at(-1)?.reason ?? '', /has no model/);
    model.name = 'practice';
  });

  it('ends at the provider when the operator goes away', async () => {
    model.name = 'practice-slow';
    const gone = new AbortController();
    const asked = ask('a b c d e f g h i j k l m n o p q r s t', gone.signal);
    asked.catch(() => {});
    const before = provider.requests.length;
    await until(() => provider.requests.length > before);
    gone.abort();
    await until(() => provider.requests.at(-1)?.goneAt !== undefined);
    model.name = 'practice';
  });
});
