/** What the chat says when an answer cannot come: no model yet, a wall of the world is missing, or everything is killed. Each says what to do. chat.ts shows them above the talk. */
import { dirname } from 'node:path';
import { html } from 'hono/html';
import type { Html } from '../../view/html.ts';
import { visible, visibleLine } from '../../view/visible.ts';
import { command } from '../../view/words.ts';
import type { World } from '../neighbours.ts';
import { type AgentPart, type GatewayPart, inHome } from '../part.ts';

/** Whole while nothing was said; after that one line to open, so that it does not push the answers out of sight. */
const told = (id: string, what: string, folded: boolean, how: Html): Html =>
  folded
    ? html`<details class="notice setup"><summary>${what}</summary>
${how}</details>`
    : html`<section class="notice setup" aria-labelledby="${id}"><h2 id="${id}">${what}</h2>
${how}</section>`;

export const killedNotice = (url: string): Html =>
  html`<section class="notice" aria-label="Killed"><p><b>Everything is killed.</b> <a href="${url}">Receipt and re-arm in the controller</a></p></section>`;

export function modelSetup(
  agent: string,
  of: AgentPart,
  part: GatewayPart,
  folded: boolean,
): Html | undefined {
  if (of.modelReady) return undefined;
  const works = html`<p>Until then <code>/help</code>, <code>/status</code>, <code>/run COMMAND</code> and <code>/kill</code> work here.</p>`;
  const apply = html`<code>${command('config apply')}</code>`;
  const yaml = html`<code>${inHome(part, 'holdfast.yaml')}</code>`;
  const unreachable = `No model is reachable for ${agent}`;
  if (of.model && of.keyWithheld) {
    return told(
      'setup',
      `${unreachable}: its key is not used`,
      folded,
      html`<p>Its provider <b>${of.model.provider}</b> wants ${of.keyWithheld === 'login' ? 'a login' : html`the key <code>${inHome(part, `secrets/llm/${of.keyWithheld}`)}</code>`}. An ordinary user started Holdfast, so every process has that user's own id, and a real key is used only after an explicit yes in ${yaml}:</p>
${pre('ordinaryUser:\n  holdKeys: true')}
<p>Then run ${apply}. Or run Holdfast as root, where the key has a user id of its own.</p>
${works}`,
    );
  }
  if (of.model && of.keyMissing) {
    const file = inHome(part, `secrets/llm/${of.keyMissing}`);
    return told(
      'setup',
      `${unreachable}: a key is missing`,
      folded,
      html`<p>Its provider <b>${of.model.provider}</b> wants the key file <code>${file}</code>${part.home === undefined ? ' in the home folder' : ''}. Put the key there, and nothing else in the file:</p>
${pre(keyInto(file))}
<p>Then run ${apply}.</p>
${works}`,
    );
  }
  const known = part.providers[0];
  return told(
    'setup',
    of.model
      ? `${unreachable}: its provider ${of.model.provider} is not configured`
      : `No model is configured for ${agent}`,
    folded,
    html`<p>Connect one in ${yaml}${part.home === undefined ? html`, in the home folder that <code>npm start</code> named` : ''}, then run ${apply}.</p>
${known ? html`<p>The provider <b>${known.name}</b> (${known.kind}, ${known.baseUrl}) is configured already; name a model of it:</p>${pre(modelOf(agent, known.name, 'NAME'))}` : ''}
<details${known ? '' : ' open'}><summary>With Ollama, no key</summary>
<p>Its address is permission for exactly that host and port. The model is one that <code>ollama list</code> shows.</p>
${pre(ollama(agent))}</details>
<details><summary>With a provider's key</summary>
<p>The key goes into a file of its own, never into the configuration and never to the agent:</p>
${pre(keyInto(inHome(part, 'secrets/llm/openai')))}
${pre(openai(agent))}
<p>For Anthropic: <code>kind: anthropic</code> and <code>baseUrl: https://api.anthropic.com</code>.</p></details>
${works}`,
  );
}

/** In a subshell, so that the umask of the shell it is pasted into stays as it was. */
const keyInto = (file: string): string => `(umask 077; mkdir -p ${word(dirname(file))}; cat > ${word(file)})`;

/** One word for a POSIX shell. */
const word = (text: string): string =>
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

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
export function worldNotice(world: World | undefined, folded = false, pagesOnly = false): Html | undefined {
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
  return told(
    'walls',
    `${agent} was not started: its world cannot be sealed`,
    folded,
    html`${grouped.length === 0 ? why : ''}
<dl>${grouped.map(
      (
        same,
      ) => html`<div><dt>Missing ${same.length === 1 ? 'wall' : 'walls'}: ${same.map((wall) => visibleLine(wall.wall)).join(', ')}</dt>
<dd>${visible(same[0]?.detail ?? '')}${same[0]?.fix ? html`<pre>${visible(same[0].fix)}</pre>` : ''}</dd></div>`,
    )}</dl>
<p><code>${command('doctor')}</code> shows all of them. ${
      pagesOnly
        ? html`Nothing but these pages runs here: no agent, no tool, no model. Start Holdfast again after the fix.`
        : html`<code>/run</code> does not need this world and works.`
    }</p>`,
  );
}
