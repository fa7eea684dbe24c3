/** Providers behind TLS: an authority of the owner's own, a certificate of ours, and no trust beyond the one host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAuthority } from '../../provider/authority.ts';
import { chatBody, post, type RigOptions, startDoor, startProvider } from './rig.ts';

const chat = '/v1/chat/completions';

const authority = createAuthority();
const stranger = createAuthority('a stranger');
const ours = authority.client('holdfast');
const theirs = stranger.client('somebody');

/** A server that hears only who shows a certificate of the authority. */
const demanding = { ...authority.server(), clientCa: authority.ca };

async function statusWith(
  t: Parameters<typeof startProvider>[0],
  files: Record<string, string>,
  options: RigOptions = {},
): Promise<{ status: number; text: string; asked: number }> {
  const provider = await startProvider(t, { tls: demanding });
  const named = (name: string) => (files[name] === undefined ? undefined : name);
  const rig = await startDoor(t, {
    providers: [
      {
        name: 'lab',
        kind: 'openai',
        baseUrl: provider.url,
        caFile: named('ca.pem'),
        certFile: named('cert.pem'),
        keyFile: named('key.pem'),
      },
    ],
    secrets: files,
    ...options,
  });
  const answer = await post(rig.url + chat, chatBody('hello'));
  return { status: answer.status, text: await answer.text(), asked: provider.requests.length };
}

const files = { 'ca.pem': authority.ca, 'cert.pem': ours.cert, 'key.pem': ours.key };

test('with the authority and our certificate the provider answers', async (t) => {
  const { status, asked } = await statusWith(t, files);
  assert.deepEqual([status, asked], [200, 1]);
});

test('without them, or with those of a stranger, nothing is said to it, and the answer says why', async (t) => {
  const { 'ca.pem': _ca, ...untrusting } = files;
  const cases: [Record<string, string>, RegExp][] = [
    [untrusting, /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE/],
    [
      { ...files, 'ca.pem': stranger.ca },
      /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED|CERT_SIGNATURE_FAILURE/,
    ],
    [{ 'ca.pem': authority.ca }, /ERR_SSL|ECONNRESET|UND_ERR_SOCKET/],
    [
      { 'ca.pem': authority.ca, 'cert.pem': theirs.cert, 'key.pem': theirs.key },
      /ERR_SSL|ECONNRESET|UND_ERR_SOCKET/,
    ],
  ];
  for (const [given, why] of cases) {
    const { status, text, asked } = await statusWith(t, given);
    assert.deepEqual([status, asked], [502, 0], text);
    assert.match(text, why);
    assert.doesNotMatch(text, /PRIVATE KEY|BEGIN CERTIFICATE/);
  }
});

test('a certificate file that is missing is named', async (t) => {
  const provider = await startProvider(t, { tls: demanding });
  const rig = await startDoor(t, {
    providers: [{ name: 'lab', kind: 'openai', baseUrl: provider.url, caFile: 'ca.pem' }],
    secrets: {},
  });
  const answer = await post(rig.url + chat, chatBody('hello'));
  assert.equal(answer.status, 503);
  const text = await answer.text();
  assert.match(text, /key-missing.*secrets\/llm\/ca\.pem/);
  assert.match(text, /the certificate of the authority that signed that of lab is missing/);
  assert.match(text, /holdfast config apply/);
});

test('the authority of one provider vouches for no other', async (t) => {
  const lab = await startProvider(t, { tls: demanding });
  const other = await startProvider(t, { tls: authority.server() });
  const rig = await startDoor(t, {
    providers: [
      {
        name: 'lab',
        kind: 'openai',
        baseUrl: lab.url,
        caFile: 'ca.pem',
        certFile: 'cert.pem',
        keyFile: 'key.pem',
      },
      { name: 'other', kind: 'openai', baseUrl: other.url },
    ],
    secrets: files,
  });
  assert.equal((await post(`${rig.url}/lab${chat}`, chatBody('hello'))).status, 200);
  assert.equal((await post(`${rig.url}/other${chat}`, chatBody('hello'))).status, 502);
  assert.equal(other.requests.length, 0);
});
