/** Ends every container of this instance, by label, over the Docker socket. The launcher's own way, for a kill and for a sweep: it needs no broker and no package. */
import { request } from 'node:http';

export const dockerSocket = '/var/run/docker.sock';

/** Returns how many were removed. Throws when Docker answers with an error; a Docker that is not there has no containers. */
export async function removeContainers(instance: string, socketPath = dockerSocket): Promise<number> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`holdfast.instance=${instance}`] }));
  let found: { Id: string }[];
  try {
    found = (await ask(socketPath, 'GET', `/containers/json?all=1&filters=${filters}`)) as { Id: string }[];
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return 0;
    throw error;
  }
  await Promise.all(found.map(({ Id }) => ask(socketPath, 'DELETE', `/containers/${Id}?force=1`)));
  return found.length;
}

function ask(socketPath: string, method: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const req = request({ socketPath, method, path, agent: false, headers: { host: 'docker' } }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (part: string) => {
        text += part;
      });
      res.on('error', reject);
      res.on('end', () => {
        // 404 and 409: another cleaner was quicker.
        if ([404, 409].includes(res.statusCode ?? 0)) resolve([]);
        else if ((res.statusCode ?? 500) >= 400)
          reject(new Error(`docker answered ${res.statusCode}: ${text.slice(0, 200)}`));
        else resolve(text === '' ? undefined : JSON.parse(text));
      });
    });
    req.setTimeout(10_000, () => req.destroy(new Error('docker does not answer')));
    req.on('error', reject);
    req.end();
  });
}
