/** Reads a form (multipart/form-data, RFC 7578) while it streams in: strict, because two readers of a loose one see two forms. Made by scan.ts for audio uploads. */
import { type Denial, deny, quoted } from '../denial.ts';
import { formats } from '../kinds/formats.ts';
import type { FormatName } from '../kinds/kind.ts';
import { looksLikeAddress } from './address.ts';
import { boundaryOf, dispositionOf } from './disposition.ts';
import { modelRefused, refused, urlRefused } from './refusals.ts';
import type { Scan, ScanOptions, Span } from './scan.ts';

/** Of one part's headers together: a name, a file name and a media type. */
const maxHeadBytes = 2048;
/** Of one field: prompts are cut at 224 tokens by the models that take one. */
const maxFieldBytes = 64 * 1024;
/** Fields and files together; the longest list of names takes a few. */
const maxParts = 64;

const cr = 0x0d;
const lf = 0x0a;

const cannotScanForm = (why: string): Denial =>
  deny(400, 'cannot-scan', `the form cannot be scanned: ${why}`, 'Send multipart/form-data as the SDKs do.');

type Part = { name: string; file: boolean; spot: string; from: number };

export function scanForm(format: FormatName, { kind, contentType }: ScanOptions): Scan {
  const { fields } = formats[format];
  const spots = new Map(
    Object.entries(fields).flatMap(([spot, list]) => list.split(' ').map((name) => [name, spot] as const)),
  );
  const boundary = boundaryOf(contentType);
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  // The first delimiter has no line before it; with one put in front, all are alike.
  let held: Buffer = Buffer.from('\r\n');
  let at = -2; // where `held` begins in the body
  let state: 'before' | 'after delimiter' | 'head' | 'content' | 'over' = 'before';
  let part: Part | undefined;
  let value: Buffer[] = [];
  let valueBytes = 0;
  const seen = new Set<string>();
  const found = {
    model: null as string | null,
    modelSpan: null as Span | null,
    stream: false,
    parts: [] as Span[],
  };
  let count = 0;
  let files = 0;

  /** Of `held`, what is done with. */
  const drop = (bytes: number): void => {
    held = held.subarray(bytes);
    at += bytes;
  };

  function head(bytes: Buffer): Denial | undefined {
    const said = dispositionOf(bytes);
    if (typeof said === 'string') return cannotScanForm(said);
    const { name, file } = said;
    const spot = spots.get(name);
    if (spot === undefined) return refused('field', name);
    if (seen.has(name) && !name.endsWith('[]')) return cannotScanForm('the same field occurs twice');
    seen.add(name);
    if (file !== (spot === 'file')) return cannotScanForm(`${quoted(name)} is ${file ? 'no' : 'a'} file`);
    if (++count > maxParts) return cannotScanForm(`it has more than ${maxParts} parts`);
    part = { name, file, spot, from: at };
    value = [];
    valueBytes = 0;
    return undefined;
  }

  function content(bytes: Buffer): Denial | undefined {
    if ((part as Part).file || bytes.length === 0) return undefined;
    valueBytes += bytes.length;
    if (valueBytes > maxFieldBytes) return cannotScanForm(`${quoted((part as Part).name)} is too long`);
    value.push(Buffer.from(bytes)); // the chunk goes its own way
    return undefined;
  }

  function partEnds(to: number): Denial | undefined {
    const { name, file, spot, from } = part as Part;
    const span = { from, to };
    if (file) {
      files++;
      if (to > from) found.parts.push(span);
      return undefined;
    }
    const bytes = Buffer.concat(value);
    let text: string;
    try {
      text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return cannotScanForm(`${quoted(name)} is not UTF-8`);
    }
    if (spot === 'model') {
      if (text.length > 512) return cannotScanForm('the name of its model is too long');
      found.model = text;
      found.modelSpan = span;
    } else if (spot === 'stream') {
      if (!/^(true|false)$/.test(text)) return refused('malformed', name);
      found.stream = text === 'true';
    } else if (spot !== 'text') {
      const escaped = bytes.includes(0x5c);
      if (looksLikeAddress({ bytes, from: 0, to: bytes.length, whole: true, escaped }))
        return urlRefused(name);
    }
    return undefined;
  }

  /** One step over `held`: true when it got somewhere, false when more must come. */
  function step(): boolean | Denial {
    if (state === 'before') {
      if (held.length < delimiter.length) return false;
      if (!held.subarray(0, delimiter.length).equals(delimiter))
        return cannotScanForm('it does not begin with its boundary');
      drop(delimiter.length);
      state = 'after delimiter';
      return true;
    }
    if (state === 'after delimiter') {
      if (held.length < 2) return false;
      const [one, two] = held;
      if (one === cr && two === lf) state = 'head';
      else if (one === 0x2d && two === 0x2d) state = 'over';
      else return cannotScanForm('a boundary is not alone on its line');
      drop(2);
      return true;
    }
    if (state === 'head') {
      const end = held.indexOf('\r\n\r\n');
      if (end > maxHeadBytes || (end === -1 && held.length > maxHeadBytes + 4))
        return cannotScanForm('a part has too long headers');
      if (end === -1) return false;
      const bytes = held.subarray(0, end);
      drop(end + 4);
      state = 'content';
      return head(bytes) ?? true;
    }
    if (state === 'content') {
      const end = held.indexOf(delimiter);
      const sure = end === -1 ? Math.max(0, held.length - delimiter.length + 1) : end;
      const denial = content(held.subarray(0, sure));
      if (denial) return denial;
      drop(sure);
      if (end === -1) return false;
      const ended = partEnds(at);
      if (ended) return ended;
      drop(delimiter.length);
      state = 'after delimiter';
      return true;
    }
    // Nothing but a line break may follow the last boundary.
    return held.length > 2 || !'\r\n'.startsWith(held.toString('latin1'))
      ? cannotScanForm('something follows its last boundary')
      : false;
  }

  return {
    push(chunk) {
      if (boundary === undefined) return cannotScanForm('its content-type names no plain boundary');
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      for (;;) {
        const moved = step();
        if (typeof moved !== 'boolean') return moved;
        if (!moved) break;
      }
      held = Buffer.from(held);
      return undefined;
    },
    end() {
      if (boundary === undefined) return cannotScanForm('its content-type names no plain boundary');
      if (state !== 'over' || held.length === 1) return cannotScanForm('it ends too early');
      const denial = modelRefused(found.model, true, kind);
      if (denial) return denial;
      if (files !== 1) return cannotScanForm('it holds no file');
      return {
        ...found,
        innerModels: [],
        maxOutputTokens: null,
        asksUsage: false,
        shape: 'multipart',
        userSpan: null,
        metadataSpan: null,
        streamOptionsSpan: null,
        streamOptionsEmpty: false,
        includeUsageSpan: null,
        storeSpan: null,
        attachedBytes: found.parts.reduce((sum, { from, to }) => sum + to - from, 0),
        open: 0,
        empty: false,
      };
    },
  };
}
