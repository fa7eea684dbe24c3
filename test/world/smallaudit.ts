/** A record on a disk of its own that can be filled and freed: home/audit on a small tmpfs (root only). */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export type SmallAudit = {
  /** For `prepare` of the rung: before the first start. */
  mount(home: string): void;
  fill(): void;
  free(): void;
};

export function smallAudit(t: TestContext): SmallAudit {
  let audit = '';
  const ballast = (): string => join(audit, 'ballast');
  // Lazily: the views of the processes that still run hold it.
  t.after(() => execFileSync('umount', ['--lazy', audit]));
  return {
    mount(home) {
      audit = join(home, 'audit');
      mkdirSync(audit, { mode: 0o711 });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k,mode=0711', 'holdfast-test', audit]);
    },
    fill() {
      for (let bytes = 512 * 1024; bytes >= 1; bytes = Math.floor(bytes / 2)) {
        try {
          writeFileSync(ballast(), Buffer.alloc(bytes), { flag: 'a' });
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        }
      }
    },
    free: () => rmSync(ballast()),
  };
}
