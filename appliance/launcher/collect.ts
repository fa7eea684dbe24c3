/** What a process prints: kept in shared/logs/, and for our own processes the few lines that mean something to the launcher. A guest's output is only ever text. */
import { closeSync, constants, lstatSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Trail } from '../log.ts';
import { visibleLine } from '../view/visible.ts';
import { openFile } from '../world/entry.ts';

export type Heard = {
  ready(): void;
  trail(where: Trail, sentence: string): void;
  /** The one-time setup code: shown on the terminal, kept in no file. */
  setupCode(code: string): void;
};

const maxLine = 64 * 1024;
const maxFileBytes = 4 * 1024 * 1024; // one older file is kept beside it

export function collect(home: string, name: string, stream: Readable | null, heard: Heard | null): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, maxLine);
    for (const line of lines) take(home, name, line.slice(0, maxLine), heard);
  });
  stream?.on('end', () => {
    if (rest !== '') take(home, name, rest, heard);
  });
  stream?.on('error', () => {});
}

function take(home: string, name: string, line: string, heard: Heard | null): void {
  const said = heard && line.startsWith('{') ? parse(line) : null;
  if (heard && said && typeof said.setupCode === 'string') {
    if (name === 'controller') heard.setupCode(said.setupCode);
    return;
  }
  keep(home, name, visibleLine(line, maxLine));
  if (!heard || !said) return;
  if (said.ready === true) heard.ready();
  if (isTrail(said.trail) && typeof said.text === 'string') heard.trail(said.trail, `${name}: ${said.text}`);
}

const isTrail = (value: unknown): value is Trail =>
  value === 'changelog' || value === 'error' || value === 'docker';

function parse(line: string): Record<string, unknown> | null {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}

function keep(home: string, name: string, line: string): void {
  const file = join(home, 'shared', 'logs', `${name}.log`);
  try {
    if ((lstatSync(file, { throwIfNoEntry: false })?.size ?? 0) > maxFileBytes) renameSync(file, `${file}.1`);
    const fd = openFile(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o640);
    try {
      writeSync(fd, `${line}\n`);
    } finally {
      closeSync(fd);
    }
  } catch {
    // A full disk loses log lines, never a start or a stop: ledgers are what must not be lost, and they refuse.
  }
}
