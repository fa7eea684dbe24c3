/** Where a ledger stood at a time, signed: a C2SP checkpoint (tlog-checkpoint). The keeper writes them into its own ledger; audit.ts holds the ledgers against them. */
import type { KeyObject } from 'node:crypto';
import { openNote, signNote } from './note.ts';

// FORMAT. A signed note whose text is
//   holdfast/<instance>/<ledger>      the origin, which is the name of the key too
//   1234                              the size: seq of the last line
//   <base64>                          the root: sha256 of that line. Ours is a chain and no Merkle tree, so it is the chain's head
//   at 2026-02-03T12:00:00.000Z       when the ledger stood there, by the keeper's clock

export type Checkpoint = {
  origin: string;
  size: number;
  /** The hash of line `size`, in hex as in `prev`. */
  hash: string;
  at: string;
};

const lines =
  /^([^\s+]{1,200})\n(0|[1-9]\d{0,14})\n([\w/+]{43}=)\nat (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\n$/;

export function signCheckpoint({ origin, size, hash, at }: Checkpoint, key: KeyObject): string {
  const root = Buffer.from(hash, 'hex').toString('base64');
  return signNote(`${origin}\n${size}\n${root}\nat ${at}\n`, origin, key);
}

/** null: it is no checkpoint, or not one that this key signed. */
export function openCheckpoint(note: string, key: KeyObject): Checkpoint | null {
  const origin = note.slice(0, note.indexOf('\n'));
  const text = openNote(note, origin, key);
  const [, , size = '', root = '', at = ''] = (text !== null && lines.exec(text)) || [];
  if (at === '' || Number.isNaN(Date.parse(at))) return null;
  return { origin, size: Number(size), hash: Buffer.from(root, 'base64').toString('hex'), at };
}

/** The instance in an origin is that of its day: a home that was moved has another one, and the same ledgers and key. */
export const ledgerOf = ({ origin }: Checkpoint): string => origin.slice(origin.lastIndexOf('/') + 1);
