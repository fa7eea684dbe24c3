/** Whether bytes that arrive in pieces are UTF-8. A byte that is replaced here may be read otherwise there. Asked by json.ts and multipart.ts for each chunk. */
import { isUtf8 } from 'node:buffer';

export type Utf8 = {
  /** False from the first chunk on that cannot be UTF-8. */
  push(chunk: Buffer): boolean;
  /** False when the end cut a character. */
  end(): boolean;
};

export function createUtf8(): Utf8 {
  let cut: Buffer | undefined; // a character that the end of a chunk has cut
  let held = 0;
  let missing = 0;
  return {
    push(chunk) {
      let from = 0;
      if (missing > 0 && cut) {
        while (missing > 0 && from < chunk.length) {
          cut[held++] = chunk[from++] as number;
          missing--;
        }
        if (missing > 0) return true;
        if (!isUtf8(cut.subarray(0, held))) return false;
        held = 0;
      }
      let to = chunk.length;
      for (let back = 1; back <= 3 && to - back >= from; back++) {
        const byte = chunk[to - back] as number;
        if ((byte & 0xc0) === 0x80) continue; // goes on from an earlier byte
        const size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        if (size <= back) break;
        to -= back;
        cut ??= Buffer.alloc(4);
        held = chunk.copy(cut, 0, to);
        missing = size - held;
        break;
      }
      return from === to || isUtf8(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to));
    },
    end: () => missing === 0,
  };
}
