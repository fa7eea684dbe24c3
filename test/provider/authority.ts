/** A certificate authority of a test's own: signs a server's and a client's certificate, made anew each time. Nothing but node:crypto, so no key lies in the repository and no openssl is needed. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

export type Signed = { cert: string; key: string };

export type Authority = {
  /** PEM, for who shall trust it. */
  ca: string;
  server(): Signed;
  client(name: string): Signed;
};

// DER (ITU-T X.690): tag, length, value. Only what a certificate of RFC 5280 needs.
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const value = Buffer.concat(content);
  if (value.length < 128) return Buffer.concat([Buffer.from([tag, value.length]), value]);
  const hex = value.length.toString(16);
  const length = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, value]);
}

const sequence = (...content: Uint8Array[]): Buffer => der(0x30, ...content);
const integer = (bytes: Uint8Array): Buffer => der(0x02, bytes);
const bits = (bytes: Uint8Array): Buffer => der(0x03, Buffer.from([0]), bytes);
const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const yes = der(0x01, Buffer.from([0xff]));

const commonName = (name: string): Buffer =>
  sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(name)))));

/** UTCTime: two digits of the year are enough until 2049 (RFC 5280, section 4.1.2.5). */
const time = (at: number): Buffer =>
  der(0x17, Buffer.from(`${new Date(at).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`));

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const basicConstraints = oid('551d13');
const extendedKeyUsage = oid('551d25');
const subjectAltName = oid('551d11');
const serverAuth = oid('2b06010505070301');
const clientAuth = oid('2b06010505070302');
/** 127.0.0.1 and localhost. */
const loopback = sequence(
  subjectAltName,
  octets(sequence(der(0x87, Buffer.from([127, 0, 0, 1])), der(0x82, Buffer.from('localhost')))),
);

const dayMs = 86_400_000;

type Names = { issuer: string; subject: string };

function certificate(
  names: Names,
  subjectKey: KeyObject,
  signingKey: KeyObject,
  extensions: Buffer[],
): string {
  const serial = randomBytes(8);
  serial[0] = 0x40 | ((serial[0] ?? 0) & 0x3f); // positive, and no leading zero
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))), // version 3
    integer(serial),
    ecdsaWithSha256,
    commonName(names.issuer),
    sequence(time(Date.now() - dayMs), time(Date.now() + dayMs)),
    commonName(names.subject),
    subjectKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const whole = sequence(body, ecdsaWithSha256, bits(sign('sha256', body, signingKey)));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const keyPair = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

export function createAuthority(name = 'practice authority'): Authority {
  const own = keyPair();
  const isCa = sequence(basicConstraints, yes, octets(sequence(yes)));
  const issue = (subject: string, ...extensions: Buffer[]): Signed => {
    const pair = keyPair();
    return {
      cert: certificate({ issuer: name, subject }, pair.publicKey, own.privateKey, extensions),
      key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  };
  return {
    ca: certificate({ issuer: name, subject: name }, own.publicKey, own.privateKey, [isCa]),
    server: () => issue('127.0.0.1', loopback, sequence(extendedKeyUsage, octets(sequence(serverAuth)))),
    client: (subject) => issue(subject, sequence(extendedKeyUsage, octets(sequence(clientAuth)))),
  };
}
