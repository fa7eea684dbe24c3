/** The controller's signing key for approvals: made on the first run, kept 0600, its public half where the broker reads it. processes/controller.ts calls it. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { Problem } from '../problem.ts';

export type Keys = { privateKey: KeyObject; publicKey: KeyObject };

/**
 * Throws a Problem when the private key is there but is no ed25519 key: a new one in its place would hide that the old
 * one was changed. The public file is only a copy and is written anew where it differs.
 */
export function approvalKeys(privatePath: string, publicPath: string): Keys {
  if (!existsSync(privatePath)) {
    const pair = generateKeyPairSync('ed25519');
    writeDurably(privatePath, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
  }
  const privateKey = readPrivate(privatePath);
  const publicKey = createPublicKey(privateKey);
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  if (!existsSync(publicPath) || readFileSync(publicPath, 'utf8') !== pem)
    writeDurably(publicPath, pem, 0o644);
  return { privateKey, publicKey };
}

function readPrivate(path: string): KeyObject {
  try {
    const key = createPrivateKey(readFileSync(path));
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // the same answer for every way in which it can be broken; never its bytes
  }
  throw new Problem(
    'broken-key',
    500,
    `${path} is not an ed25519 private key`,
    'Put it back from a backup, or move it away: a new pair is then made.',
  );
}

function writeDurably(path: string, text: string | Buffer, mode: number): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', mode);
  writeSync(file, text.toString());
  fsyncSync(file);
  closeSync(file);
  renameSync(temporary, path);
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
}
