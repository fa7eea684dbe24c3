/** nginx, the yardstick of the llm bench: as the upstream that answers with a fixed JSON, and as a plain reverse proxy. The package is unpacked into a folder of the bench, never installed: installing it would start a web server on port 80. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The path of the program, or why there is none. */
export async function findNginx(folder: string): Promise<{ path: string } | { why: string }> {
  for (const path of ['/usr/sbin/nginx', '/usr/local/sbin/nginx']) if (existsSync(path)) return { path };
  const cwd = join(folder, 'nginx-package');
  mkdirSync(cwd, { recursive: true, mode: 0o755 });
  const download = () => run('apt-get', ['-q', 'download', 'nginx'], { cwd });
  try {
    await download().catch(async () => {
      // Without its lists apt knows no package; only root may fetch them.
      await run('apt-get', ['-q', 'update']);
      await download();
    });
    const [deb] = readdirSync(cwd).filter((name) => name.endsWith('.deb'));
    if (deb === undefined) return { why: 'apt-get download brought no nginx' };
    await run('dpkg-deb', ['-x', deb, 'unpacked'], { cwd });
    const path = join(cwd, 'unpacked/usr/sbin/nginx');
    await run(path, ['-v']);
    return { path };
  } catch (error) {
    const said = error instanceof Error ? (error.message.trim().split('\n').at(-1) ?? '') : String(error);
    return { why: `no nginx: ${said}; install it by hand: sudo apt-get install nginx` };
  }
}

export type Nginx = { port: number; pids: number[]; close(): Promise<void> };

/** One worker, no logs: the leanest that it can be. `location` is the configuration of `/`. */
export async function startNginx(
  program: string,
  folder: string,
  port: number,
  location: string,
  outside = '',
): Promise<Nginx> {
  mkdirSync(join(folder, 'temp'), { recursive: true });
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((each) => `${each}_temp_path ${folder}/temp/${each};`)
    .join('\n  ');
  const configuration = `daemon off;
worker_processes 1;
pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  default_type application/json;
  keepalive_requests 100000000;
  client_max_body_size 64m;
  client_body_buffer_size 512k;
  ${temps}
  ${outside}
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / {
      ${location}
    }
  }
}
`;
  writeFileSync(join(folder, 'nginx.conf'), configuration);
  const child = spawn(program, ['-p', folder, '-c', join(folder, 'nginx.conf')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await listening(port);
  const master = child.pid ?? 0;
  // The master listens before it has a worker.
  let workers: number[] = [];
  while (workers.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const children = readFileSync(`/proc/${master}/task/${master}/children`, 'utf8');
    workers = children.split(' ').filter(Boolean).map(Number);
  }
  return {
    port,
    pids: [master, ...workers],
    async close() {
      if (child.exitCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

export const answers = (json: string): string => `return 200 '${json}';`;

/** A reverse proxy with kept connections; without buffering, so that events pass as they come. */
export const proxies = (to: number): { location: string; outside: string } => ({
  outside: `upstream far { server 127.0.0.1:${to}; keepalive 128; keepalive_requests 100000000; }`,
  location: `proxy_pass http://far;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;`,
});

/** Resolves when something listens there. */
export async function listening(port: number, withinMs = 20_000): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const up = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (up) return;
    if (performance.now() > end) throw new Error(`nothing listens on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
