/** Why a place of a body refuses what stands there: one sentence for each fault. Made by judge.ts and multipart.ts. */
import { cannotScan, type Denial, deny, quoted } from '../denial.ts';
import type { Kind } from '../kinds/kind.ts';
import type { Fault } from '../kinds/spot.ts';

const inlineHint = 'Send the bytes inline (base64 or a data: URL): the agent fetches by its egress door.';
const toolHint =
  'Offer the tool as a function and run it here: the tools door and the egress door are for that.';
const storeHint = 'Send the whole conversation with each request: nothing is kept at a provider.';

/** What a field does that must be off. Others are named as they are. */
const reasons: Readonly<Record<string, string>> = {
  web_search_options: 'web_search_options makes the provider search the web',
  mcp_servers: 'mcp_servers makes the provider call remote tools',
  container: 'container makes the provider run code',
  store: 'store keeps the conversation at the provider',
  background: 'background keeps the answer at the provider',
};

/** `key` is where it stands, `what` the word that stands there. */
export function refused(fault: Fault, key: string, what?: string): Denial {
  const value = what === undefined ? undefined : quoted(what);
  switch (fault) {
    case 'field':
      return deny(
        403,
        'field-not-listed',
        `the field ${quoted(key)} is not on this door's list`,
        'Leave it out: a field that the door does not know may make the provider act by itself.',
      );
    case 'part':
      return deny(
        403,
        'part-not-listed',
        value
          ? `content of type ${value} is not on this door's list`
          : `${quoted(key)} is no content that this door knows`,
        'Send text, or bytes inline.',
      );
    case 'item':
      return value
        ? deny(403, 'part-not-listed', `an item of type ${value} is not on this door's list`, storeHint)
        : deny(403, 'stored-object', 'an item without a type may name a stored object', storeHint);
    case 'tool':
      return deny(
        403,
        'provider-executed',
        value
          ? `a tool with type ${value} may run at the provider`
          : `${quoted(key)} in a tool may make it run at the provider`,
        toolHint,
      );
    case 'reaching':
      return deny(
        403,
        'provider-executed',
        reasons[key] ?? `${quoted(key)} makes the provider act by itself`,
        toolHint,
      );
    case 'stored':
      return deny(403, 'stored-object', `${quoted(key)} names an object stored at the provider`, storeHint);
    case 'source':
      return deny(403, 'url-content', `a source of type ${value ?? '"undefined"'} is not inline`, inlineHint);
    case 'tier':
      return deny(
        403,
        'dearer-tier',
        `${quoted(key)} ${value ?? 'as it stands'} is billed at another rate than the list price`,
        'Leave it out: budgets are reckoned at the standard rate.',
      );
    case 'malformed':
      return cannotScan(`${quoted(key)} is not of the kind that the API says`);
  }
}

export const urlRefused = (key: string): Denial =>
  deny(403, 'url-content', `${quoted(key)} would make the provider fetch a URL`, inlineHint);

export const notWeb = (key: string): Denial =>
  deny(403, 'url-content', `${quoted(key)} names something that is not on the web`, inlineHint);

const noModel = deny(
  400,
  'no-model',
  'the body names no model',
  'Set "model" to a name from the model list.',
);

/** Asked for the model as the body names it; the door asks its kind again for the one that an alias stands for. */
export function modelRefused(model: string | null, required: boolean, kind: Kind): Denial | undefined {
  if (!model) return required ? noModel : undefined;
  const reason = kind.modelReachesOut(model);
  return reason === undefined ? undefined : deny(403, 'model-reaches-out', reason, 'Choose another model.');
}

export const twoModels = cannotScan('it names another model than the path');
