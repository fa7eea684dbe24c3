/** The model vendor is not a way out: judges a request body before it is forwarded. Called by proxy.ts; nothing is dialled for a body refused here. */
import { type Denial, deny, quoted } from '../denial.ts';
import type { BodyRules, Kind } from '../kinds/kind.ts';

/** Fields that every API documents and that make the provider fetch, run or keep something. Null, false and [] switch them off. */
const reaching: Record<string, string> = {
  web_search_options: 'web_search_options makes the provider search the web',
  mcp_servers: 'mcp_servers makes the provider call remote tools',
  container: 'container makes the provider run code',
  store: 'store keeps the conversation at the provider',
};

const inlineHint = 'Send the bytes inline (base64 or a data: URL): the agent fetches by its egress door.';
const toolHint =
  'Offer the tool as a function and run it here: the tools door and the egress door are for that.';

/** As Go compares keys: `ſ` is an s and the Kelvin sign a k, so a key in disguise is seen. */
const fold = (key: string): string => key.toUpperCase().toLowerCase();

const off = (value: unknown): boolean =>
  value === null || value === undefined || value === false || (Array.isArray(value) && value.length === 0);

/** Returns the first reason to refuse, or undefined. `provider` is who would answer, `rules` those of the format spoken. */
export function scan(json: Record<string, unknown>, rules: BodyRules, provider: Kind): Denial | undefined {
  for (const [field, value] of Object.entries(json)) {
    if (!rules.fields.has(field)) {
      return deny(
        403,
        'field-not-listed',
        `the field ${quoted(field)} is not on this door's list`,
        'Leave it out: a field that the door does not know may make the provider act by itself.',
      );
    }
    const reason = reaching[field];
    if (reason && !off(value)) return deny(403, 'provider-executed', reason, toolHint);
  }
  if (typeof json.model !== 'string' || json.model === '') {
    return deny(400, 'no-model', 'the body names no model', 'Set "model" to a name from the model list.');
  }
  const modelReason = provider.modelReachesOut(json.model);
  if (modelReason) return deny(403, 'model-reaches-out', modelReason, 'Choose another model.');
  const content = { messages: json.messages, system: json.system, prediction: json.prediction };
  return scanTools(json.tools, rules) ?? scanContent(content, rules);
}

function scanTools(tools: unknown, rules: BodyRules): Denial | undefined {
  if (off(tools)) return undefined;
  const malformed = deny(400, 'cannot-scan', 'tools is not a list of objects', 'Send tools as the API says.');
  if (!Array.isArray(tools)) return malformed;
  for (const tool of tools) {
    if (typeof tool !== 'object' || tool === null) return malformed;
    const types = Object.entries(tool).flatMap(([key, value]) => (fold(key) === 'type' ? [value] : []));
    for (const type of types.length === 0 ? [null] : types) {
      if (rules.toolTypes.has(type)) continue;
      const name = type === null ? 'no type' : `type ${quoted(String(type))}`;
      return deny(403, 'provider-executed', `a tool with ${name} may run at the provider`, toolHint);
    }
  }
  return undefined;
}

/** Every place that a provider reads for content. body.ts has bounded the depth. */
function scanContent(value: unknown, rules: BodyRules, under = ''): Denial | undefined {
  if (Array.isArray(value)) {
    for (const each of value) {
      const denial = scanContent(each, rules, under);
      if (denial) return denial;
    }
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const object = value as Record<string, unknown>;
  if ((under === 'content' || under === 'system') && !rules.parts.has(String(object.type))) {
    return deny(
      403,
      'part-not-listed',
      `content of type ${quoted(String(object.type))} is not on this door's list`,
      `Known here: ${[...rules.parts].join(', ')}.`,
    );
  }
  for (const [key, inner] of Object.entries(object)) {
    if (rules.opaque.has(key) && !(key === 'input' && object.type !== 'tool_use')) continue;
    const denial = scanEntry(fold(key), inner) ?? scanContent(inner, rules, key);
    if (denial) return denial;
  }
  return undefined;
}

function scanEntry(key: string, value: unknown): Denial | undefined {
  if (/ur[li]$/.test(key) && typeof value === 'string' && !/^data:/i.test(value)) {
    return deny(403, 'url-content', `${quoted(key)} would make the provider fetch a URL`, inlineHint);
  }
  if (key === 'images' && Array.isArray(value) && value.some((each) => /^\s*https?:/i.test(String(each)))) {
    return deny(403, 'url-content', 'images would make the provider fetch a URL', inlineHint);
  }
  if (/file_?id$/.test(key) && !off(value)) {
    return deny(403, 'stored-object', 'a file id names an object stored at the provider', inlineHint);
  }
  const inside = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  if (key === 'audio' && inside && 'id' in inside) {
    return deny(403, 'stored-object', 'audio.id names an object stored at the provider', inlineHint);
  }
  if (key === 'source' && inside && !Array.isArray(inside)) {
    const type = String(inside.type);
    if (!['base64', 'text', 'content'].includes(type)) {
      return deny(403, 'url-content', `a source of type ${quoted(type)} is not inline`, inlineHint);
    }
  }
  return undefined;
}
