/** The trail that an operator reads: shared/CHANGELOG.md, shared/logs/errors/ERROR-LOG.md, shared/logs/docker-changes/. Only the launcher writes it. */
import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trail } from '../log.ts';
import { visibleLine } from '../view/visible.ts';

const heads: Record<Trail, string> = {
  changelog: '# What was started and changed\n\n',
  error: '# What broke\n\n',
  docker: '# What was done with containers\n\n',
};

const fileOf = (where: Trail, day: string): string =>
  ({
    changelog: 'shared/CHANGELOG.md',
    error: 'shared/logs/errors/ERROR-LOG.md',
    docker: `shared/logs/docker-changes/${day}.md`,
  })[where];

const maxSentence = 600;

/** One line per entry. Hostile text can be in any sentence: it stays on its line and is only ever text. */
export function addToTrail(home: string, where: Trail, sentence: string, now = new Date()): void {
  const at = now.toISOString();
  const file = join(home, fileOf(where, at.slice(0, 10)));
  if (!existsSync(file)) writeFileSync(file, heads[where], { mode: 0o644 });
  appendFileSync(file, `- ${at} ${plain(sentence.slice(0, maxSentence))}\n`);
}

/** Control and bidi characters become visible escapes, and what markdown would read is escaped. */
const plain = (text: string): string =>
  visibleLine(text, maxSentence)
    .replace(/[\\`*_{}[\]<>#|!~]/g, (mark) => `\\${mark}`)
    .replace(/:\/\//g, ':\u200b//');
