/** Token counts from a response as it passes, for the outcome record. Reads the beginning and the end of it, never the whole; called by proxy.ts. */

export type Tokens = { in?: number; out?: number };

export type Usage = { see(chunk: Buffer): void; tokens(): Tokens | undefined };

/** Anthropic counts the input in the first event, all of them the output in the last: 4 KiB hold either. */
const windowBytes = 4096;

/** Inside a JSON string the quotes are escaped, so text of the model that looks like usage does not match. */
const counts = {
  in: /"(?:prompt_tokens|input_tokens|prompt_eval_count)"\s*:\s*(\d{1,12})/g,
  out: /"(?:completion_tokens|output_tokens|eval_count)"\s*:\s*(\d{1,12})/g,
};

export function createUsage(): Usage {
  let head = '';
  let end = Buffer.alloc(0);
  const last = (pattern: RegExp): number | undefined => {
    const found = [...`${head}\n${end.toString('latin1')}`.matchAll(pattern)].at(-1)?.[1];
    return found === undefined ? undefined : Number(found);
  };
  return {
    see(chunk) {
      if (head.length < windowBytes) head += chunk.toString('latin1', 0, windowBytes - head.length);
      end =
        chunk.length >= windowBytes
          ? Buffer.from(chunk.subarray(-windowBytes))
          : Buffer.concat([end, chunk]).subarray(-windowBytes);
    },
    tokens() {
      const tokens: Tokens = {};
      const [input, output] = [last(counts.in), last(counts.out)];
      if (input !== undefined) tokens.in = input;
      if (output !== undefined) tokens.out = output;
      return input === undefined && output === undefined ? undefined : tokens;
    },
  };
}
