/** The chat's own style sheet, beside the one of both houses. chat.ts links it, routes.ts serves it. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Asset } from '../../view/stylesheet.ts';

const body = readFileSync(new URL('../../style/chat.css', import.meta.url), 'utf8');

export const chatSheet: Asset = {
  path: '/chat.css',
  href: `/chat.css?v=${createHash('sha256').update(body).digest('hex').slice(0, 12)}`,
  type: 'text/css; charset=utf-8',
  body,
};
