/** The trail that an operator reads: shared/CHANGELOG.md, shared/logs/errors/ERROR-LOG.md, shared/logs/docker-changes/, shared/reports/. Only the launcher writes it. */
import { closeSync, constants, fstatSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Trail } from '../log.ts';
import { visibleLine } from '../view/visible.ts';
import { openFile } from '../world/entry.ts';

const heads: Record<Trail, string> = {
  changelog: '# What was started and changed\n\n',
  error: '# What broke\n\n',
  docker: '# What was done with containers\n\n',
  report: '# What the day brought\n\n',
};

const fileOf = (where: Trail, day: string): string =>
  ({
    changelog: 'shared/CHANGELOG.md',
    error: 'shared/logs/errors/ERROR-LOG.md',
    docker: `shared/logs/docker-changes/${day}.md`,
    report: `shared/reports/${day}.md`,
  })[where];

const maxSentence = 1200;

/** One line per entry. Hostile text can be in any sentence: it stays on its line and is only ever text. Returns whether it was written: a full disk or a planted link loses a line, never a start or a stop. */
export function addToTrail(home: string, where: Trail, sentence: string, now = new Date()): boolean {
  const at = now.toISOString();
  const file = join(home, fileOf(where, at.slice(0, 10)));
  try {
    const fd = openFile(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o644);
    try {
      if (fstatSync(fd).size === 0) writeSync(fd, heads[where]);
      writeSync(fd, `- ${at} ${plain(sentence.slice(0, maxSentence))}\n`);
      return true;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

/** Control and bidi characters become visible escapes, and what markdown would read is escaped; but a command of ours stays as it is to be typed, since within its backticks nothing is read. */
const plain = (text: string): string =>
  visibleLine(text, maxSentence)
    .replace(/(`holdfast [a-z0-9 -]{1,60}`)|[\\`*_{}[\]<>#|!~]/g, (mark, command) => command ?? `\\${mark}`)
    .replace(/:\/\//g, ':\u200b//');
