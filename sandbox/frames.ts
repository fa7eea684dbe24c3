/** The engine's attach stream, taken apart: 8 bytes of header, then so many of one output. Called by docker.ts. */
import { StringDecoder } from 'node:string_decoder';

export type Output = { stream: 'stdout' | 'stderr'; text: string };

/** Engine API, "Stream format": [stream, 0, 0, 0, length in 4 bytes big-endian]. Half a character waits for its other half. */
export async function* outputs(chunks: AsyncIterable<Buffer>): AsyncGenerator<Output> {
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  let stream: Output['stream'] = 'stdout';
  let header = Buffer.alloc(0);
  let left = 0;
  for await (const chunk of chunks) {
    let at = 0;
    while (at < chunk.length) {
      if (left === 0) {
        const part = chunk.subarray(at, at + 8 - header.length);
        header = Buffer.concat([header, part]);
        at += part.length;
        if (header.length < 8) break;
        stream = header[0] === 2 ? 'stderr' : 'stdout';
        left = header.readUInt32BE(4);
        header = Buffer.alloc(0);
        continue;
      }
      const payload = chunk.subarray(at, at + left);
      at += payload.length;
      left -= payload.length;
      const text = decoders[stream].write(payload);
      if (text !== '') yield { stream, text };
    }
  }
  for (const name of ['stdout', 'stderr'] as const) {
    const text = decoders[name].end();
    if (text !== '') yield { stream: name, text };
  }
}
