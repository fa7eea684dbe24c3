/** `holdfast audit`: is the record what was written? Works with Holdfast down, on the files alone. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Audited } from '../../proxies/ledger/audit.ts';
import { homePaths } from '../paths.ts';
import { Problem } from '../problem.ts';
import { exit } from './exit.ts';
import { json, note, say, table } from './print.ts';
import { isThere } from './reach.ts';
import { verb } from './verb.ts';

export function auditVerb(program: Command): void {
  // The one verb that there is goes without its name too.
  const group = declared(program, 'audit', 'is the record what was written? The same as `audit verify`');
  declared(group, 'verify', 'walk every ledger and its checkpoints; names the first bad record');
}

const declared = (under: Command, name: string, summary: string): Command =>
  verb<{ key?: string }>(
    under,
    name,
    summary,
    { json: true },
    (command) =>
      command.option(
        '--key <vkey>',
        'the public key as it was noted before (name+hash+base64), not the one that lies here',
      ),
    async ({ home, key: given, json: asJson }) => {
      const [{ auditLedgers }, { vkeyOf }] = await Promise.all([
        import('../../proxies/ledger/audit.ts'),
        import('../../proxies/ledger/note.ts'),
      ]);
      if (!isThere(join(home, 'audit')))
        throw new Problem(
          'missing',
          404,
          `no record is under ${home}: there is no folder ${join(home, 'audit')}`,
          'Name the home: --home DIR.',
        );
      const key = await publicKey(home, given);
      const ledgers = await auditLedgers(join(home, 'audit'), key);
      const ok = ledgers.every((each) => each.ok);
      const vkey = vkeyOf(`holdfast/${homePaths(home).instance}`, key);
      if (asJson) json({ ok, vkey, ledgers });
      else print(ledgers, vkey);
      return ok ? exit.ok : exit.refused;
    },
  );

/** A key from outside proves more: who can change the ledgers may have changed the one beside them. */
async function publicKey(home: string, given: string | undefined): Promise<KeyObject> {
  if (given !== undefined) {
    const { parseVkey } = await import('../../proxies/ledger/note.ts');
    const parsed = parseVkey(given);
    if (parsed) return parsed.key;
    throw new Problem('usage', 400, 'this is no key', 'It looks like name+hash+base64; a verify prints it.');
  }
  const file = join(home, 'keeper', 'ledger.pub.pem');
  try {
    return createPublicKey(readFileSync(file));
  } catch (error) {
    throw new Problem('missing', 500, `${file} cannot be read`, 'Run it as the owner, or give --key.', error);
  }
}

function print(ledgers: Audited[], vkey: string): void {
  const rows = ledgers.map((each) => [
    each.ledger,
    each.ok ? 'whole' : 'BAD',
    each.lines,
    each.segments,
    each.signed ? `line ${each.signed.lines} at ${each.signed.at}` : 'not yet',
  ]);
  say(table(['LEDGER', 'STATE', 'LINES', 'SEGMENTS', 'SIGNED UP TO'], rows));
  for (const { bad } of ledgers) if (bad) say(`${bad.file} line ${bad.line}: ${bad.why}`);
  note(`signed by ${vkey}`);
}
