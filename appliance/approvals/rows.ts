/** The approval table: one row a question, its job as it was asked. inbox.ts alone reads and writes it. */
import type { SQLOutputValue } from 'node:sqlite';
import { approvalSchema, type Job, jobSchema, type SignedApproval } from '../../sandbox/approval.ts';
import type { Database } from '../database.ts';
import type { Approval, ApprovalState } from './approval.ts';

export const approvalTable = `CREATE TABLE approval (
  id TEXT PRIMARY KEY,
  agent TEXT NOT NULL,
  tool TEXT NOT NULL,
  job TEXT NOT NULL,
  digest TEXT NOT NULL UNIQUE,
  by TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'withdrawn')),
  asked_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  epoch TEXT NOT NULL,
  settled_at_ms INTEGER,
  reason TEXT,
  signed TEXT
) STRICT;
CREATE INDEX approval_pending ON approval (agent, asked_at_ms) WHERE state = 'pending'`;

/** Decided ones are on record in the ledgers; here only the latest stay, or an agent that asks for ever fills the disk. */
const keepDecided = 500;

export type NewApproval = Omit<Approval, 'state' | 'reason' | 'script' | 'image' | 'timeoutMs'> & {
  job: Job;
};

export type ApprovalRows = {
  insert(approval: NewApproval): void;
  find(id: string): Approval | undefined;
  byDigest(digest: string): Approval | undefined;
  pending(agent?: string): Approval[];
  job(id: string): Job;
  /** False when it is not pending any more. */
  settle(
    id: string,
    state: ApprovalState,
    atMs: number,
    reason: string | null,
    signed: SignedApproval | null,
  ): boolean;
  signed(id: string): SignedApproval | null;
  forgetSignature(id: string): void;
  prune(): void;
};

export function approvalRows(db: Database): ApprovalRows {
  const insert = db.prepare(
    `INSERT INTO approval (id, agent, tool, job, digest, by, state, asked_at_ms, expires_at_ms, epoch)
     VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?)`,
  );
  const byId = db.prepare('SELECT * FROM approval WHERE id = ?');
  const byDigest = db.prepare('SELECT * FROM approval WHERE digest = ?');
  const pending = db.prepare(
    `SELECT * FROM approval WHERE state = 'pending' AND (?1 IS NULL OR agent = ?1) ORDER BY asked_at_ms, id`,
  );
  const settle = db.prepare(
    `UPDATE approval SET state = ?, settled_at_ms = ?, reason = ?, signed = ? WHERE id = ? AND state = 'pending'`,
  );
  const forget = db.prepare('UPDATE approval SET signed = NULL WHERE id = ?');
  const decided = db.prepare(`SELECT count(*) AS n FROM approval WHERE state <> 'pending'`);
  const prune = db.prepare(
    `DELETE FROM approval WHERE state <> 'pending' AND id NOT IN
     (SELECT id FROM approval WHERE state <> 'pending' ORDER BY settled_at_ms DESC LIMIT ?)`,
  );
  const one = (row: Row | undefined): Approval | undefined => (row ? approvalOf(row) : undefined);

  return {
    insert: (each) =>
      void insert.run(
        each.id,
        each.agent,
        each.tool,
        JSON.stringify(each.job),
        each.digest,
        each.by,
        each.askedAtMs,
        each.expiresAtMs,
        each.epoch,
      ),
    find: (id) => one(byId.get(id)),
    byDigest: (digest) => one(byDigest.get(digest)),
    pending: (agent) => pending.all(agent ?? null).map(approvalOf),
    job: (id) => jobOf(byId.get(id)),
    settle: (id, state, atMs, reason, signed) =>
      settle.run(state, atMs, reason, signed && JSON.stringify(signed), id).changes === 1,
    signed(id) {
      const signed = byId.get(id)?.signed;
      return typeof signed === 'string' ? approvalSchema.parse(JSON.parse(signed)) : null;
    },
    forgetSignature: (id) => void forget.run(id),
    prune() {
      if (Number(decided.get()?.n) > 2 * keepDecided) prune.run(keepDecided);
    },
  };
}

type Row = Record<string, SQLOutputValue>;

const jobOf = (row: Row | undefined): Job => jobSchema.parse(JSON.parse(String(row?.job)));

function approvalOf(row: Row): Approval {
  const { script, image, timeoutMs } = jobOf(row);
  return {
    id: String(row.id),
    agent: String(row.agent),
    tool: String(row.tool),
    script,
    image,
    timeoutMs,
    digest: String(row.digest),
    by: String(row.by),
    state: row.state as ApprovalState,
    askedAtMs: Number(row.asked_at_ms),
    expiresAtMs: Number(row.expires_at_ms),
    epoch: String(row.epoch),
    reason: row.reason === null ? null : String(row.reason),
  };
}
