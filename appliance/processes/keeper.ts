/** The keeper: the lease, the latch and the ledger-signing key. Root, without capabilities; it works with every other process dead. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
} from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import { createBeats } from '../keeper/beats.ts';
import { createHeads, signText } from '../keeper/heads.ts';
import { readLatch, writeLatch } from '../keeper/latch.ts';
import { beating, type Event, next, type State } from '../keeper/lifecycle.ts';
import type { Step } from '../keeper/steps.ts';
import { trip } from '../keeper/trip.ts';
import { view } from '../paths.ts';
import { Problem } from '../problem.ts';
import { attend } from '../process.ts';
import { call, serve } from '../socket.ts';

const signHeadsEveryMs = 5000;

const here = attend();
const latchFile = here.home('latch');
const key = signingKey(here.home('keeper/ledger.pem'), here.home('keeper/ledger.pub.pem'));
const found = readLatch(latchFile);
let state: State = found.state === 'armed' ? 'armed' : 'killed';
let epoch = found.epoch;
let since = new Date().toISOString();
let reason = found.state === 'killed' ? (found.why ?? 'the latch says killed') : undefined;
let last: Receipt | undefined;

type Receipt = {
  id: string;
  at: string;
  reason: string;
  by: string;
  state: 'killed';
  steps: Step[];
  signature: string;
};

function move(event: Event): boolean {
  const to = next(state, event);
  if (to === null) return false;
  if (to !== state) since = new Date().toISOString();
  state = to;
  return true;
}

// Beats first: nothing that can fail stands between a start and the word killed.
const beats = await createBeats(here.door('lease').fd, () => (beating(state) ? 'armed' : 'killed'));
const { instance } = here.part() as { instance: string };
const heads = createHeads(here.home('audit'), key, `holdfast/${instance}`);
const ledger = await openLedger({
  path: here.home('audit/keeper.jsonl'),
  archive: here.home('audit/keeper'),
  visit: heads.learn,
  carry: heads.carry,
});

async function note(record: Record<string, unknown>): Promise<void> {
  try {
    await ledger.append(record);
  } catch (error) {
    here.log.error('the keeper ledger refuses a record', {
      record: String(record.kind),
      error: String(error),
    });
  }
}

/** The launcher's part of a press. Asked twice it does no harm. */
const endWorlds = async (): Promise<Step[]> =>
  ((await call(here.socket('launch'), 'POST /kill', {}, { timeoutMs: 15_000 })) as { steps: Step[] }).steps;

async function press(by: string, why: string): Promise<Receipt> {
  move('trip');
  reason = why;
  const at = new Date().toISOString();
  const steps = await trip({
    announce: () => beats.announce('killed'),
    cgroups: existsSync(view.cgroup) ? view.cgroup : null,
    latch: () => writeLatch(latchFile, { state: 'killed', epoch, at }),
    launcher: endWorlds,
    clock: () => performance.now(),
  });
  move('tripped');
  const unsigned = { id: randomUUID(), at, reason: why, by, state: 'killed' as const, steps };
  last = { ...unsigned, signature: signText(key, 'receipt', unsigned) };
  await note({ kind: 'trip', receipt: last });
  here.trail('changelog', `killed by ${by}: ${why}`);
  here.trail('report', inWords(last));
  return last;
}

async function rearm(by: string, why: string): Promise<{ state: State; steps: Step[] }> {
  if (!move('rearm'))
    throw new Problem('not-killed', 409, `the box is ${state}, not killed`, 'There is nothing to re-arm.');
  await note({ kind: 'rearm', by, reason: why, epoch: epoch + 1 });
  if (state !== 'rearming') throw tripped(); // pressed while the disk took its time
  try {
    const { steps } = (await call(here.socket('launch'), 'POST /rearm', {}, { timeoutMs: 60_000 })) as {
      steps: Step[];
    };
    // A press during the re-arm has moved the state on; then the latch stays as that press wrote it.
    if (state !== 'rearming') {
      // The launcher may have heard of the press first and of the re-arm last: the press has the last word.
      await endWorlds();
      throw tripped();
    }
    epoch += 1;
    writeLatch(latchFile, { state: 'armed', epoch, at: new Date().toISOString() });
    move('rearmed');
    reason = undefined;
    beats.announce('armed');
    here.trail('changelog', `re-armed by ${by}: ${why}`);
    return { state, steps };
  } catch (error) {
    if (state === 'rearming')
      await press('keeper', `re-arm failed: ${error instanceof Error ? error.message : error}`);
    throw error;
  }
}

const tripped = (): Problem =>
  new Problem('tripped', 409, 'the box was killed while it was being re-armed', 'Look at the receipt.');

/** The receipt for a person: what the press did, and what of it failed. */
function inWords({ id, by, reason: why, steps }: Receipt): string {
  const list = steps.map(({ name, ms, ok, detail }) => `${name} ${ms} ms${ok ? '' : ` FAILED (${detail})`}`);
  return `killed by ${by}: ${why}. Receipt ${id}: ${list.join('; ')}`;
}

const text = (value: unknown, what: string, otherwise?: string): string => {
  const given = typeof value === 'string' ? value.trim().slice(0, 500) : '';
  if (given !== '') return given;
  if (otherwise !== undefined) return otherwise;
  throw new Problem('no-reason', 400, `${what} is missing`, `Send ${what} as text.`);
};

const now = (): Record<string, unknown> => ({
  state: state === 'armed' ? 'armed' : 'killed',
  phase: state,
  since,
  reason,
  epoch,
  receipt: last,
});

await serve(here.door('trip'), {
  'POST /trip': ({ body }) => {
    const { by, reason: why } = (body ?? {}) as Record<string, unknown>;
    return press(text(by, 'by', 'somebody'), text(why, 'reason', 'no reason given'));
  },
  'GET /state': now,
});
await serve(here.door('rearm'), {
  'POST /rearm': ({ body }) => {
    const { by, reason: why } = (body ?? {}) as Record<string, unknown>;
    return rearm(text(by, 'by'), text(why, 'reason'));
  },
});
/** The first look is at once: what a clock does while the box starts then lies between two checkpoints. */
function signHeads(): void {
  const moved = heads.moved(ledger.head());
  if (!moved) return;
  void note(moved);
  for (const [name, why] of Object.entries((moved.contradicted ?? {}) as Record<string, string>))
    here.trail('error', `the ledger ${name} is not the one that was signed: ${why}`);
}
signHeads();
setInterval(signHeads, signHeadsEveryMs);
if (found.why) here.trail('error', `started killed: ${found.why}`);
if (state === 'killed') {
  // A latch that was damaged while we were away: the launcher does not know yet.
  endWorlds().catch((error: unknown) =>
    here.log.error('the worlds of a killed box were not ended', { error: String(error) }),
  );
}
await here.ready();

/** ed25519, made once; the public half is for who verifies the ledgers. */
function signingKey(file: string, publicFile: string): KeyObject {
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ed25519');
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  }
  const key = createPrivateKey(readFileSync(file));
  if (!existsSync(publicFile)) {
    writeFileSync(publicFile, createPublicKey(key).export({ type: 'spki', format: 'pem' }), { mode: 0o644 });
  }
  return key;
}
