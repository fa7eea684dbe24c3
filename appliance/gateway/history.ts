/**
 * What was said in one agent's chat: bounded, in memory, and kept as a file so that it survives a restart. turn.ts adds to it; the chat page and the next turn read it.
 *
 * FORMAT  <agent>.jsonl, one entry a line: {"at":ISO,"from":"operator"|"agent"|"holdfast","text":...,"end":"done"|"stopped"|"failed","note":...}
 * It is no ledger: it can be deleted, and the record of what an agent did is elsewhere.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';

const entry = z.strictObject({
  at: z.iso.datetime().describe('When it was said, or when the answer ended.'),
  from: z.enum(['operator', 'agent', 'holdfast']).describe('`holdfast` is the answer to a slash command.'),
  text: z.string().describe('What was said, without control characters.'),
  end: z
    .enum(['done', 'stopped', 'failed'])
    .optional()
    .describe('How an answer ended; absent for the operator.'),
  note: z.string().optional().describe('Our words about it: an exit code, or why it failed.'),
});

export type Entry = z.infer<typeof entry>;

export type History = {
  entries(): readonly Entry[];
  add(said: Omit<Entry, 'at'>): void;
};

const maxEntries = 200; // what a page shows and a person scrolls
const maxChars = 1024 * 1024;

/** `onFault` hears of a disk that does not take it, once for each line. The talk goes on in memory: it is no record, and a kill must not hang on it. */
export function openHistory(path: string, onFault: (error: unknown) => void): History {
  let kept: Entry[] = [];
  let linesOnDisk = 0;
  const onDisk = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      onFault(error);
    }
  };
  const rewrite = (): void => {
    write(path, kept);
    linesOnDisk = kept.length;
  };
  onDisk(() => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    kept = read(path);
    rewrite(); // drops a torn last line, so that the next one starts clean
  });

  const add: History['add'] = (said) => {
    const line: Entry = { at: new Date().toISOString(), ...said };
    kept = bounded([...kept, line]);
    onDisk(() => {
      if (linesOnDisk >= 2 * maxEntries) return rewrite();
      append(path, `${JSON.stringify(line)}\n`);
      linesOnDisk += 1;
    });
  };

  // A question without an answer means that this process died over it: silence would look like patience.
  if (kept.at(-1)?.from === 'operator') {
    const note = 'The gateway was restarted before this was answered. Say it again.';
    add({ from: 'holdfast', text: '', end: 'failed', note });
  }
  return { entries: () => kept, add };
}

function bounded(entries: Entry[]): Entry[] {
  let chars = 0;
  let from = entries.length;
  while (from > 0 && entries.length - from < maxEntries) {
    chars += entries[from - 1]?.text.length ?? 0;
    if (chars > maxChars && from < entries.length) break;
    from -= 1;
  }
  return entries.slice(from);
}

function read(path: string): Entry[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const entries = text.split('\n').flatMap((line): Entry[] => {
    try {
      return [entry.parse(JSON.parse(line))];
    } catch {
      return []; // the empty end, a line torn by power loss, or an edit by hand
    }
  });
  return bounded(entries);
}

function write(path: string, entries: Entry[]): void {
  const temp = `${path}.new`;
  put(temp, 'w', entries.map((each) => `${JSON.stringify(each)}\n`).join(''));
  renameSync(temp, path);
}

const append = (path: string, line: string): void => put(path, 'a', line);

function put(path: string, flags: 'a' | 'w', text: string): void {
  const fd = openSync(path, flags, 0o600);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
