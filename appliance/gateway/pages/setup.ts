/** What the chat says when an answer cannot come: no model yet, or a wall of the world is missing. Each says what to do. chat.ts shows them above the talk. */
import { html } from 'hono/html';
import type { Html } from '../../view/html.ts';
import { visible, visibleLine } from '../../view/visible.ts';
import type { World } from '../neighbours.ts';
import type { AgentPart, GatewayPart } from '../part.ts';

export function modelSetup(agent: string, of: AgentPart, part: GatewayPart): Html | undefined {
  if (of.modelReady) return undefined;
  const works = html`<p>Until then <code>/help</code>, <code>/status</code>, <code>/run COMMAND</code> and <code>/kill</code> work here.</p>`;
  const apply = html`<code>npm run -s holdfast -- config apply</code>`;
  if (of.model && of.keyWithheld) {
    return html`<section class="notice setup" aria-labelledby="setup"><h2 id="setup">No model is reachable for ${agent}: its key is not used</h2>
<p>Its provider <b>${of.model.provider}</b> wants the key <code>secrets/llm/${of.keyWithheld}</code>. An ordinary user started Holdfast, so every process has that user's own id, and a real key is used only after an explicit yes in <code>holdfast.yaml</code>:</p>
${pre('ordinaryUser:\n  holdKeys: true')}
<p>Then run ${apply}. Or run Holdfast as root, where the key has a user id of its own.</p>
${works}</section>`;
  }
  if (of.model && of.keyMissing) {
    return html`<section class="notice setup" aria-labelledby="setup"><h2 id="setup">No model is reachable for ${agent}: a key is missing</h2>
<p>Its provider <b>${of.model.provider}</b> wants the key file <code>secrets/llm/${of.keyMissing}</code> in the home folder. Put the key there, and nothing else in the file:</p>
<pre>umask 077; cat &gt; secrets/llm/${of.keyMissing}</pre>
<p>Then run ${apply}.</p>
${works}</section>`;
  }
  const known = part.providers[0];
  return html`<section class="notice setup" aria-labelledby="setup"><h2 id="setup">No model is reachable for ${agent}</h2>
<p>Connect one in <code>holdfast.yaml</code>, in the home folder that <code>npm start</code> named, then run ${apply}.</p>
${known ? html`<p>The provider <b>${known.name}</b> (${known.kind}, ${known.baseUrl}) is configured already; name a model of it:</p>${pre(modelOf(agent, known.name, 'NAME'))}` : ''}
<details${known ? '' : ' open'}><summary>With Ollama, no key</summary>
<p>Its address is permission for exactly that host and port. The model is one that <code>ollama list</code> shows.</p>
${pre(ollama(agent))}</details>
<details><summary>With a provider's key</summary>
<p>The key goes into a file of its own, never into the configuration and never to the agent:</p>
${pre('umask 077; mkdir -p secrets/llm; cat > secrets/llm/openai')}
${pre(openai(agent))}
<p>For Anthropic: <code>kind: anthropic</code> and <code>baseUrl: https://api.anthropic.com</code>.</p></details>
${works}</section>`;
}

const pre = (text: string): Html => html`<pre>${text}</pre>`;

const modelOf = (agent: string, provider: string, name: string): string => `agents:
  ${agent}:
    model:
      provider: ${provider}
      name: ${name}`;

const ollama = (agent: string): string => `providers:
  local:
    kind: ollama
    baseUrl: http://127.0.0.1:11434
${modelOf(agent, 'local', 'llama3.2')}`;

const openai = (agent: string): string => `providers:
  openai:
    kind: openai
    baseUrl: https://api.openai.com/v1
    key: openai
${modelOf(agent, 'openai', 'NAME')}`;

/** Undefined while the world runs or nothing is known about it. */
export function worldNotice(world: World | undefined, pagesOnly = false): Html | undefined {
  if (!world || world.state === 'running') return undefined;
  const agent = visibleLine(world.agent);
  const why = world.why ? html`<p>${visible(world.why)}</p>` : '';
  if (world.state !== 'refused') {
    const words =
      world.state === 'starting'
        ? `The world of ${agent} is being built.`
        : world.state === 'backing-off'
          ? `${agent} crashed and is started again, more slowly each time.`
          : `${agent} is ${visibleLine(world.state)}.`;
    return html`<section class="notice" aria-label="World"><p><b>${words}</b></p>${why}</section>`;
  }
  const missing = world.walls.filter((wall) => wall.state === 'missing');
  const grouped = [...Map.groupBy(missing, (wall) => `${wall.detail}\n${wall.fix}`).values()];
  return html`<section class="notice setup" aria-labelledby="walls"><h2 id="walls">${agent} was not started: its world cannot be sealed</h2>
${grouped.length === 0 ? why : ''}
<dl>${grouped.map(
    (
      same,
    ) => html`<div><dt>Missing ${same.length === 1 ? 'wall' : 'walls'}: ${same.map((wall) => visibleLine(wall.wall)).join(', ')}</dt>
<dd>${visible(same[0]?.detail ?? '')}${same[0]?.fix ? html`<pre>${visible(same[0].fix)}</pre>` : ''}</dd></div>`,
  )}</dl>
<p><code>npm run -s holdfast -- doctor</code> shows all of them. ${
    pagesOnly
      ? html`Nothing but these pages runs here: no agent, no tool, no model. Start Holdfast again after the fix.`
      : html`<code>/run</code> does not need this world and works.`
  }</p></section>`;
}
