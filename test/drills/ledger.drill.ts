/** A ledger under load whose writer is killed 200 times, at random moments and often in the middle of a rotation: no acknowledged record is lost. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killAfter, lostOf } from '../proxies/ledger/killed.ts';
import type { Drilled } from './drill.ts';

const rounds = 200;
/** Each ledger lives through so many deaths; all that it ever promised is looked for after each. */
const deathsOfOne = 10;
/** Small, so that a rotation is under way every few milliseconds. */
const segmentBytes = 96 * 1024;
const longestMs = 120;

export async function drill(): Promise<Drilled> {
  const top = mkdtempSync(join(tmpdir(), 'holdfast-drill-ledger-'));
  const told = { rounds: 0, lost: 0, bricked: 0, acknowledged: 0, segments: 0, torn: 0, rotationsCut: 0 };
  try {
    while (told.rounds < rounds) {
      const folder = join(top, String(told.rounds));
      const path = join(folder, 'ledger.jsonl');
      const archive = join(folder, 'ledger');
      mkdirSync(archive, { recursive: true });
      writeFileSync(path, '');
      const promised = new Map<number, string>();
      for (let death = 0; death < deathsOfOne && told.rounds < rounds; death++) {
        told.rounds += 1;
        try {
          const more = await killAfter(Math.random() * longestMs, [path, archive, String(segmentBytes)]);
          for (const [seq, hash] of more) promised.set(seq, hash);
          told.acknowledged += more.size;
          if (tornOf(path)) told.torn += 1;
          if (rotationCut(path, archive)) told.rotationsCut += 1;
          told.lost += await lostOf(path, promised);
        } catch (error) {
          told.bricked += 1;
          process.stdout.write(`round ${told.rounds}: ${error instanceof Error ? error.message : error}\n`);
          break;
        }
      }
      told.segments += readdirSync(archive).length;
      rmSync(folder, { recursive: true, force: true });
      process.stdout.write(
        `${told.rounds} of ${rounds} rounds: ${told.acknowledged} acknowledged, ${told.lost} lost, ${told.segments} segments, ${told.rotationsCut} rotations cut short\n`,
      );
    }
  } finally {
    rmSync(top, { recursive: true, force: true });
  }
  return told;
}

const tornOf = (path: string): boolean => {
  const bytes = readFileSync(path);
  return bytes.length > 0 && bytes.at(-1) !== 10;
};

/** A copy that is not whole, one that was not followed by the truncation, or a live file without its first line. */
function rotationCut(path: string, archive: string): boolean {
  const names = readdirSync(archive).sort();
  if (names.some((name) => name.endsWith('.part'))) return true;
  const live = readFileSync(path);
  if (names.length > 0 && !live.includes(10)) return true;
  const last = names.at(-1);
  return (
    last !== undefined && readFileSync(join(archive, last)).subarray(0, 100).equals(live.subarray(0, 100))
  );
}
