/** The one style sheet and the icon, read once. Both houses serve them from their own origin, because the CSP allows nothing else. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export type Asset = { path: string; href: string; type: string; body: string };

function asset(path: string, type: string): Asset {
  const body = readFileSync(new URL(`../style${path}`, import.meta.url), 'utf8');
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 12);
  // The hash in the address lets a browser keep the file for good and still see a change at once.
  return { path, href: `${path}?v=${hash}`, type, body };
}

export const stylesheet = asset('/holdfast.css', 'text/css; charset=utf-8');
export const icon = asset('/holdfast.svg', 'image/svg+xml');
export const assets: Asset[] = [stylesheet, icon];

export const assetCaching = 'public, max-age=31536000, immutable';
