/** What a process prints: kept in shared/logs/, and for our own processes the few lines that mean something to the launcher. A guest's output is only ever text. */
import { closeSync, constants, lstatSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { createQuota, type Quota } from '../../proxies/ledger/quota.ts';
import type { Trail } from '../log.ts';
import { visibleLine } from '../view/visible.ts';
import { openFile } from '../world/entry.ts';

export type Heard = {
  ready(): void;
  trail(where: Trail, sentence: string): void;
  /** What it said of a fault, without its name: the last one before its end is why it ended. */
  fault(sentence: string): void;
  /** The one-time setup code: shown on the terminal, kept in no file. */
  setupCode(code: string): void;
};

const maxLine = 64 * 1024;
const trailPerMinute = 120; // a process of ours in hostile hands must not fill the disk with sentences
const faultsPerMinute = 10; // a full disk is a fault a request: the trail says it, the log has them all
const maxFileBytes = 4 * 1024 * 1024; // one older file is kept beside it
/** Who prints without end waits this long after each 64 KiB: the launcher has other things to do, a kill the first of them. */
const restMs = 50;
const restAfter = 64 * 1024;

export function collect(home: string, name: string, stream: Readable | null, heard: Heard | null): void {
  let rest = '';
  let room = restAfter;
  const listFault = faults(name, (sentence) => heard?.trail('error', sentence));
  const listed = createQuota(trailPerMinute, () => performance.now());
  const take = (lines: string[]): void => {
    const kept = lines.map((line) => understood(name, line.slice(0, maxLine), heard, listFault, listed));
    keep(home, name, kept.filter((line) => line !== null).join(''));
  };
  stream?.setEncoding('utf8');
  stream?.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, maxLine);
    take(lines);
    room -= text.length;
    if (room > 0) return;
    room = restAfter;
    stream.pause();
    setTimeout(() => stream.resume(), restMs);
  });
  stream?.on('end', () => {
    if (rest !== '') take([rest]);
  });
  stream?.on('error', () => {}); // a pipe that breaks is the end of its process, which is said on its own
}

type Fault = (sentence: string) => void;

/** A fault of a process of ours, as a sentence for the operator: what, and the reason if it gave one. Of a stack only what it begins with. */
function sentenceOf({ text, error, why, code, stack }: Record<string, unknown>): string {
  const [reason] = [error, why, code, stack].filter((each) => typeof each === 'string');
  return reason === undefined ? String(text) : `${text} (${reason.split('\n')[0]})`;
}

/** The first few of a minute; the last of them says where the rest is. */
function faults(name: string, say: (sentence: string) => void): Fault {
  let minute = -1;
  let count = 0;
  return (sentence) => {
    const now = Math.floor(performance.now() / 60_000);
    if (now !== minute) [minute, count] = [now, 0];
    count += 1;
    if (count > faultsPerMinute) return;
    const more =
      count === faultsPerMinute ? `; what else fails this minute is in shared/logs/${name}.log` : '';
    say(`${name}: ${sentence}${more}`);
  };
}

/** Does what the line means, and returns what of it is kept: null for the setup code. */
function understood(
  name: string,
  line: string,
  heard: Heard | null,
  listFault: Fault,
  listed: Quota,
): string | null {
  const said = heard && line.startsWith('{') ? parse(line) : null;
  if (heard && said && typeof said.setupCode === 'string') {
    if (name === 'controller') heard.setupCode(said.setupCode);
    return null;
  }
  if (heard && said) {
    if (said.ready === true) heard.ready();
    if (said.level === 'error') {
      const sentence = sentenceOf(said);
      heard.fault(sentence);
      listFault(sentence);
    }
    if (isTrail(said.trail) && typeof said.text === 'string' && listed.take() !== null)
      heard.trail(said.trail, `${name}: ${said.text}`);
  }
  return `${visibleLine(line, maxLine)}\n`;
}

const isTrail = (value: unknown): value is Trail =>
  value === 'changelog' || value === 'error' || value === 'docker' || value === 'report';

function parse(line: string): Record<string, unknown> | null {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}

/** One write for all that came at once: a guest that prints empty lines would otherwise cost a write for each byte. */
function keep(home: string, name: string, text: string): void {
  if (text === '') return;
  const file = join(home, 'shared', 'logs', `${name}.log`);
  try {
    if ((lstatSync(file, { throwIfNoEntry: false })?.size ?? 0) > maxFileBytes) renameSync(file, `${file}.1`);
    const fd = openFile(file, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o640);
    try {
      writeSync(fd, text);
    } finally {
      closeSync(fd);
    }
  } catch {
    // A full disk loses log lines, never a start or a stop: ledgers are what must not be lost, and they refuse.
  }
}
