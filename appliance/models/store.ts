/** Where logins are kept: one 0600 file for each provider, in a folder that only the llm process has. Given to keys/login.ts. */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

const fileOf = (folder: string, name: string): string => {
  // Names come from the configuration, whose schema says the same; a path must not depend on it.
  if (!/^[a-z][a-z0-9@-]{0,69}$/.test(name))
    throw new RangeError(`${JSON.stringify(name)} names no provider`);
  return join(folder, `${name}.json`);
};

export function createStore(folder: string) {
  /** By name: a login and a refresh may be saved at once, and both use the same temporary file. */
  const writing = new Map<string, Promise<void>>();
  return {
    async read(name: string): Promise<string | undefined> {
      try {
        return await readFile(fileOf(folder, name), 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    async write(name: string, text: string): Promise<void> {
      const path = fileOf(folder, name);
      const before = writing.get(name) ?? Promise.resolve();
      const own = before.catch(() => {}).then(() => replace(folder, path, text)); // whoever wrote it was told
      writing.set(name, own);
      await own;
    },
  };
}

/** Temp, fsync, rename, fsync: a refresh token that was used is worth nothing, the new one must not be lost. */
async function replace(folder: string, path: string, text: string): Promise<void> {
  const part = `${path}.part`;
  try {
    await rm(part, { force: true }); // one that a crash left, whatever its mode
    const file = await open(part, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  const holding = await open(folder, 'r');
  await holding.sync().finally(() => holding.close());
}
