/** An answer as it went to the agent, put aside while it passes and read when it is over: many that are under way hold a few kilobytes each. Made by proxy.ts, filled by forward.ts. */
import type { FormatName } from '../kinds/kind.ts';
import type { Lane } from '../lane.ts';
import type { Spool, Spools } from '../spool.ts';
import { createReader, type Reader, type Reading } from './reader.ts';
import { statedShape } from './shape.ts';

export type Capture = {
  /** Never throws: an answer is not cut because it cannot be put aside. */
  write(clean: Buffer): void;
  /** Gives the reading to `use`: at once where the answer is small, and else in its turn, which lasts until `use` is done. */
  read(use: (reading: Reading) => Promise<unknown>): Promise<void>;
};

export type Captures = (format: FormatName, contentType: string) => Capture;

/** Of one answer; an ordinary one never meets the disk. */
const memoryBytes = 64 * 1024;
const mib = 1024 * 1024;
const bounds = {
  /** 100,000 tokens with twenty log probabilities each: what is longer has no final count for us, and costs its reservation. */
  answerBytes: 256 * mib,
  /** Of one agent's answers together: the disk is everybody's. */
  agentBytes: 512 * mib,
};
/** Read between two turns of the event loop: about a millisecond. */
const pieceBytes = 32 * 1024;

/** What is read as it passes: of these a few numbers are kept, however long they are. */
const passing = new Set<FormatName>(['openai-embeddings', 'gemini-embed', 'ollama-embed']);

/** Of one agent; the lane is everybody's. */
export function createCaptures(spools: Spools, lane: Lane, { answerBytes, agentBytes } = bounds): Captures {
  let held = 0;

  return (format, contentType) => {
    if (passing.has(format) || statedShape(contentType) === 'bytes') {
      return readPassing(createReader(format, contentType));
    }
    const spool = spools(memoryBytes);
    /** For good: what came after a gap would be joined to what it does not follow. */
    let short = false;
    const close = (): void => {
      held -= spool.bytes;
      spool.close();
    };
    const end = (reader: Reader): Reading => {
      const reading = reader.end();
      return short ? cutShort(reading) : reading;
    };
    return {
      write(clean) {
        short ||= spool.bytes + clean.length > answerBytes || held + clean.length > agentBytes;
        if (short) return;
        try {
          spool.write(clean);
          held += clean.length;
        } catch {
          short = true; // the disk is full: the record says that it is not all
        }
      },
      async read(use) {
        const reader = createReader(format, contentType);
        if (spool.bytes <= memoryBytes) {
          reader.push(spool.slice(0, spool.bytes));
          close();
          void use(end(reader));
          return;
        }
        await lane(async () => {
          try {
            await readAll(spool, reader);
          } catch {
            short = true; // a disk that gives nothing back: what was read so far is on record, and its bill is the reservation
          } finally {
            close();
          }
          await use(end(reader));
        });
      },
    };
  };
}

const readPassing = (reader: Reader): Capture => ({
  write: reader.push,
  async read(use) {
    void use(reader.end());
  },
});

async function readAll(spool: Spool, reader: Reader): Promise<void> {
  const piece = Buffer.allocUnsafeSlow(pieceBytes);
  for (let at = 0; at < spool.bytes; ) {
    const got = spool.read(piece, at);
    reader.push(piece.subarray(0, got));
    at += got;
    await new Promise(setImmediate);
  }
}

/** Whose end was not kept: the count that it has so far is not the last one. */
function cutShort({ tokens, costUsd: _, ...reading }: Reading): Reading {
  return {
    ...reading,
    ...(tokens === undefined ? {} : { tokensUntilCut: tokens }),
    ended: false,
    truncated: true,
  };
}
