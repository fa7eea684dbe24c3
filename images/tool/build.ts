/** Builds the tool image from the host's own Debian (or Ubuntu) packages and imports it into the engine. Called by provisioning/tools.ts; `node:` only. */
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, createReadStream, existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packages } from './recipe.ts';

/** The lines of mmdebstrap that tell a person something. */
const steps = /^I: (running apt-get|downloading|extracting|installing|cleaning|creating)/;

export type Build = {
  tag: string;
  engineSocket: string;
  /** Put before mmdebstrap where we are not root: ['sudo', '-n'] or nothing. */
  asRoot: string[];
  progress: (detail: string) => void;
};

const prefix = 'holdfast-image-';

/** A shell and small programs, read by people and models in a terminal: 60 MB less without these. */
const leftOut = ['/usr/share/man/*', '/usr/share/doc/*', '/usr/share/locale/*', '/usr/share/info/*'];

// $1 is the root of the new image. Nothing in it can become root by a file's mode, and it names no package source:
// a container has no network. /workspace is where the agent's folder is mounted on the read-only root.
const finish = [
  'find "$1" -xdev -type f -perm /6000 -exec chmod a-s {} +',
  'rm -f "$1"/etc/apt/sources.list "$1"/etc/resolv.conf "$1"/etc/hostname',
  'mkdir -p "$1"/workspace',
];

/** Throws an Error with the last lines of what failed. */
export async function buildImage({ tag, engineSocket, asRoot, progress }: Build): Promise<void> {
  // Not /tmp: it may be a small tmpfs, and this holds 400 MB for half a minute.
  clean(asRoot, '/var/tmp');
  const folder = mkdtempSync(join('/var/tmp', prefix));
  try {
    chmodSync(folder, 0o755); // apt drops to its own user and has to get in
    const tar = join(folder, 'root.tar');
    await bootstrap(tar, folder, asRoot, progress);
    progress('importing the image');
    await importTar(tar, tag, engineSocket);
  } finally {
    clean(asRoot, '/var/tmp');
  }
}

/** Ours and what an interrupted build left: the caller's lock says that no other build runs. Never into a mount. */
function clean(asRoot: string[], parent: string): void {
  const [program = '', ...args] = [
    ...asRoot,
    'find',
    parent,
    ...['-maxdepth', '1', '-name', `${prefix}*`, '-uid', String(process.getuid?.() ?? 0)],
    ...['-exec', 'rm', '-rf', '--one-file-system', '{}', '+'],
  ];
  execFileSync(program, args, { stdio: 'ignore' });
}

function bootstrap(
  tar: string,
  folder: string,
  asRoot: string[],
  progress: (detail: string) => void,
): Promise<void> {
  const { codename, id } = hostRelease();
  const [program = '', ...rest] = [
    ...asRoot,
    // Its mounts and processes are its own: however a build ends, none of them stays behind.
    ...['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--'],
    'env',
    `TMPDIR=${folder}`,
    'mmdebstrap',
    '--variant=minbase',
    '--mode=root',
    '--format=tar',
    `--include=${packages().join(',')}`,
    ...leftOut.map((path) => `--dpkgopt=path-exclude=${path}`),
    ...finish.map((command) => `--customize-hook=${command}`),
    codename,
    tar,
    ...sources(codename, id, asRoot),
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
    const last: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => {
      last.push(line);
      if (last.length > 8) last.shift();
      if (steps.test(line)) progress(line.slice(3));
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`mmdebstrap ended with ${code}: ${last.join(' | ')}`)),
    );
  });
}

function hostRelease(): { codename: string; id: string } {
  const fields = new Map(
    readFileSync('/etc/os-release', 'utf8')
      .split('\n')
      .map((line): [string, string] => {
        const at = line.indexOf('=');
        return [line.slice(0, at), line.slice(at + 1).replace(/^"|"$/g, '')];
      }),
  );
  const codename = fields.get('VERSION_CODENAME');
  if (!codename) throw new Error('/etc/os-release names no VERSION_CODENAME: is this Debian or Ubuntu?');
  return { codename, id: fields.get('ID') ?? 'debian' };
}

/** The distribution's own entries of the host's apt configuration, so that a mirror chosen for this machine is used here too. */
function sources(codename: string, id: string, asRoot: string[]): string[] {
  const keyrings = [id, 'debian'].map((name) => `/usr/share/keyrings/${name}-archive-keyring.gpg`);
  const keyring = keyrings.find((path) => existsSync(path));
  const signedBy = keyring === undefined ? '' : `[signed-by=${keyring}] `;
  const suites = [codename, `${codename}-updates`, `${codename}-security`];
  const read = (): string[] =>
    execFileSync('apt-get', ['indextargets', '--format', targetFormat, 'Created-By: Packages'], {
      encoding: 'utf8',
    })
      .split('\n')
      .map((line) => line.split(' '))
      .filter(
        ([origin = '', , suite = '']) => /^(Debian|Ubuntu|Raspbian)$/.test(origin) && suites.includes(suite),
      )
      .map(([, uri, suite, component]) => `deb ${signedBy}${uri} ${suite} ${component}`);
  let found = read();
  if (found.length === 0) {
    // Who made a source is known only once its lists are here; a fresh machine may have none.
    const [program = '', ...args] = [...asRoot, 'apt-get', '-q', 'update'];
    execFileSync(program, args, { stdio: 'ignore' });
    found = read();
  }
  if (found.length === 0) throw new Error(`apt knows no package source of ${id} ${codename}`);
  return [...new Set(found)];
}

/** apt-get(8), indextargets: fields of the Release file and of the source's entry. */
const targetFormat = '$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)';

/** POST /images/create?fromSrc=- of the engine's API: what `docker import` does, without needing its client. */
function importTar(tar: string, tag: string, socketPath: string): Promise<void> {
  const [repo = '', name = ''] = tag.split(':');
  const query = new URLSearchParams({
    fromSrc: '-',
    repo,
    tag: name,
    changes: `LABEL holdfast.recipe=${name}`,
  });
  return new Promise((resolve, reject) => {
    const req = request(
      {
        socketPath,
        method: 'POST',
        path: `/images/create?${query}`,
        headers: { 'content-type': 'application/x-tar' },
      },
      (res) => {
        let answer = '';
        res.setEncoding('utf8').on('data', (text: string) => {
          answer += text;
        });
        res.on('error', reject).on('end', () => {
          // The engine says 200 first and may still fail: the error is then a line of the body.
          const failed = res.statusCode !== 200 || answer.includes('"error"');
          failed ? reject(new Error(`the engine refused the image: ${answer.trim()}`)) : resolve();
        });
      },
    );
    req.on('error', reject);
    createReadStream(tar).on('error', reject).pipe(req);
  });
}
