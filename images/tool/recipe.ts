/** Which tool image belongs to this checkout. The broker runs no other; provisioning/tools.ts builds it when it is missing. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What decides what is in the image. Another byte in one of them is another tag, so an old image never passes for a new one. */
const recipeFiles = ['build.ts', 'packages.txt'];

const repository = 'holdfast-tool';

/** `holdfast-tool:<first 12 hex of sha256 over the recipe's files>` */
export function imageTag(folder: string = import.meta.dirname): string {
  const hash = createHash('sha256');
  for (const name of recipeFiles) hash.update(`${name}\0`).update(readFileSync(join(folder, name)));
  return `${repository}:${hash.digest('hex').slice(0, 12)}`;
}

export const packages = (folder: string = import.meta.dirname): string[] =>
  readFileSync(join(folder, 'packages.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
