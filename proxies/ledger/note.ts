/** Signed notes (C2SP signed-note, ed25519): a text, a blank line, signatures. The keeper signs checkpoints as notes; `holdfast audit verify` opens them. */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** The identifier byte of ed25519 signatures. */
const ed25519 = Buffer.from([1]);

/** A checkpoint of ours has under 400 bytes; each of 16 signatures that witnesses may add has up to 5 kB. */
const maxNoteChars = 100_000;

/** The key as 32 bytes (RFC 8032), of a public key or of a private one. */
function rawOf(key: KeyObject): Buffer {
  const jwk = key.export({ format: 'jwk' });
  if (jwk.crv !== 'Ed25519' || jwk.x === undefined) throw new TypeError('a note is signed with ed25519');
  return Buffer.from(jwk.x, 'base64url');
}

/** key ID = SHA-256(key name || 0x0A || signature type || public key)[:4] */
const idOf = (name: string, raw: Buffer): Buffer =>
  createHash('sha256').update(`${name}\n`).update(ed25519).update(raw).digest().subarray(0, 4);

/** The key as other verifiers of notes take it: `name+hash+base64`. */
export function vkeyOf(name: string, key: KeyObject): string {
  const raw = rawOf(key);
  return `${name}+${idOf(name, raw).toString('hex')}+${Buffer.concat([ed25519, raw]).toString('base64')}`;
}

/** null: it has not that form, it is of another type, or its hash is not that of name and key. */
export function parseVkey(text: string): { name: string; key: KeyObject } | null {
  const [, name = '', id = '', base64 = ''] =
    /^([^\s+]{1,200})\+([0-9a-f]{8})\+([\w/+]{44})$/.exec(text) ?? [];
  const typed = Buffer.from(base64, 'base64');
  const raw = typed.subarray(1);
  if (typed[0] !== ed25519[0] || idOf(name, raw).toString('hex') !== id) return null;
  const x = raw.toString('base64url');
  return { name, key: createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }) };
}

/** `text` ends with a newline. */
export function signNote(text: string, name: string, key: KeyObject): string {
  const signature = Buffer.concat([idOf(name, rawOf(key)), sign(null, Buffer.from(text), key)]);
  return `${text}\n\u2014 ${name} ${signature.toString('base64')}\n`;
}

/**
 * The text of the note, if the key of this name signed it. null otherwise: not signed by it, signed wrongly, or no note. Signatures
 * of others (witnesses) are left unjudged, as the format asks.
 */
export function openNote(note: string, name: string, key: KeyObject): string | null {
  if (note.length > maxNoteChars || !note.endsWith('\n')) return null;
  const end = note.lastIndexOf('\n\n');
  if (end === -1) return null;
  const text = note.slice(0, end + 1);
  const id = idOf(name, rawOf(key));
  let signed = false;
  for (const line of note.slice(end + 2, -1).split('\n')) {
    const [, signer, base64 = ''] = /^\u2014 ([^\s+]+) ([\w/+=]+)$/.exec(line) ?? [];
    if (signer === undefined) return null;
    const bytes = Buffer.from(base64, 'base64');
    if (signer !== name || !bytes.subarray(0, 4).equals(id)) continue;
    if (!verify(null, Buffer.from(text), key, bytes.subarray(4))) return null;
    signed = true;
  }
  return signed ? text : null;
}
