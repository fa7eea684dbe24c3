/** A progress bar on a terminal, or a line for each tenth where there is none. `holdfast models pull` shows it. */
import type { WriteStream } from 'node:tty';
import { visibleLine } from '../view/visible.ts';

export type Bar = {
  /** `total` 0: nobody knows how much there is. */
  show(what: string, done: number, total: number): void;
  /** Leaves the terminal as it was. */
  end(): void;
};

const width = 30;

export function createBar(to: Pick<WriteStream, 'write'> & { isTTY?: boolean; columns?: number }): Bar {
  let last = '';
  return {
    show(what, done, total) {
      const share = total > 0 ? Math.min(1, done / total) : 0;
      const words = visibleLine(what, 60);
      if (to.isTTY) {
        const full = Math.round(share * width);
        const bar =
          total > 0
            ? `[${'#'.repeat(full)}${'.'.repeat(width - full)}] ${size(done)} of ${size(total)}  `
            : '';
        // Erase to the end of the line (ECMA-48 EL): the text before may have been longer.
        const text = `${bar}${words}`.slice(0, (to.columns ?? 80) - 1);
        if (text !== last) to.write(`\r${text}\u001b[K`);
        last = text;
        return;
      }
      const tenth = total > 0 ? ` ${Math.floor(share * 10) * 10} %` : '';
      const text = `${words}${tenth}`;
      if (text !== last) to.write(`${text}\n`);
      last = text;
    },
    end() {
      if (to.isTTY && last !== '') to.write('\n');
    },
  };
}

/** As on a package: decimal. */
const size = (bytes: number): string => {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.round(bytes / 1e3)} kB`;
};
