/** A run's output up to a size, and a sentence for what was left out. Called by broker.ts, so that nobody behind it needs memory for a flood. */
import type { RunEvent } from './docker.ts';

export async function* capped(events: AsyncIterable<RunEvent>, maxBytes: number): AsyncGenerator<RunEvent> {
  let room = maxBytes;
  let cut = 0;
  for await (const event of events) {
    if (!('text' in event)) {
      if (cut > 0) yield { stream: 'stderr', text: sentence(cut, maxBytes) };
      yield event;
      continue;
    }
    const bytes = Buffer.byteLength(event.text);
    if (bytes <= room) {
      room -= bytes;
      yield event;
      continue;
    }
    // Half a character at the cut would be decoded as U+FFFD: TextDecoder with `stream` leaves it out.
    const text = new TextDecoder().decode(Buffer.from(event.text).subarray(0, room), { stream: true });
    cut += bytes - Buffer.byteLength(text);
    room = 0;
    if (text !== '') yield { stream: event.stream, text };
  }
}

const sentence = (cut: number, maxBytes: number): string =>
  `\n[holdfast: output is limited to ${Math.round(maxBytes / 1024)} kB; ${cut} more bytes were left out]\n`;
