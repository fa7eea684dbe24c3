/** Reads a request body while it streams in, and says whether it may be asked and where its pieces lie. Called by intake.ts; never keeps the body. */
import type { Denial } from '../denial.ts';
import { formats } from '../kinds/formats.ts';
import type { FormatName, Kind } from '../kinds/kind.ts';
import { grammarOf } from './grammar.ts';
import { createJson } from './json.ts';
import { Judge } from './judge.ts';
import { scanForm } from './multipart.ts';
import { modelRefused, twoModels } from './refusals.ts';

/** Byte offsets in the whole body, `to` exclusive. */
export type Span = { from: number; to: number };

export type Scanned = {
  /** Null where the format has it in the path and the body does not repeat it. */
  model: string | null;
  /** Of the JSON string with its quotes; in a form of the field's bytes. */
  modelSpan: Span | null;
  /** Where a Gemini body repeats the model of its path, as `models/NAME`. */
  innerModels: Span[];
  /** Gemini says it in the path. */
  stream: boolean;
  /** The most that the body allows, for all answers together. */
  maxOutputTokens: number | null;
  /** stream_options.include_usage is true. */
  asksUsage: boolean;
  /** Content-addressable pieces, in order, none in another. */
  parts: Span[];
  shape: 'json' | 'multipart';
  /** Values: top-level `user`, or metadata.user_id (anthropic). */
  userSpan: Span | null;
  metadataSpan: Span | null;
  streamOptionsSpan: Span | null;
  streamOptionsEmpty: boolean;
  includeUsageSpan: Span | null;
  storeSpan: Span | null;
  /** Bytes of inline attachments, which are fewer tokens than so much text. */
  attachedBytes: number;
  /** Right after the body's first `{`. */
  open: number;
  /** The object has no members. */
  empty: boolean;
};

/** Undefined is yes. Where no judge is given, URLs are refused. */
export type UrlJudge = (url: string) => Denial | undefined;

export type ScanOptions = {
  kind: Kind;
  contentType: string | undefined;
  judgeUrl?: UrlJudge;
  /** The model of the path: a body that repeats it must agree. */
  model?: string | null;
};

export type Scan = { push(chunk: Buffer): Denial | undefined; end(): Scanned | Denial };

/** The first denial is final. */
export function createScan(format: FormatName, options: ScanOptions): Scan {
  const inner = formats[format].form ? scanForm(format, options) : scanJson(format, options);
  let refused: Denial | undefined;
  return {
    push(chunk) {
      refused ??= inner.push(chunk);
      return refused;
    },
    end() {
      if (refused) return refused;
      const scanned = inner.end();
      if ('allow' in scanned) refused = scanned;
      return scanned;
    },
  };
}

function scanJson(name: FormatName, { kind, judgeUrl, model }: ScanOptions): Scan {
  const grammar = grammarOf(name);
  const judge = new Judge(grammar, judgeUrl);
  const json = createJson(judge);
  return {
    push: json.push,
    end() {
      const denial = json.end() ?? modelRefused(judge.found.model, grammar.format.model === 'required', kind);
      if (denial) return denial;
      const { found } = judge;
      const repeated = found.innerModels.map((each) => each.name.replace(/^models\//, ''));
      if (repeated.some((each) => each !== model)) return twoModels;
      return {
        model: found.model ?? repeated[0] ?? null,
        modelSpan: found.modelSpan,
        innerModels: found.innerModels.map(({ span }) => span),
        stream: found.stream ?? grammar.format.streams === true,
        maxOutputTokens: found.maxTokens === null || found.endless ? null : found.maxTokens * found.answers,
        asksUsage: found.asksUsage,
        parts: found.parts,
        shape: 'json',
        userSpan: found.user,
        metadataSpan: found.metadata,
        streamOptionsSpan: found.streamOptions,
        streamOptionsEmpty: found.streamOptionsEmpty,
        includeUsageSpan: found.includeUsage,
        storeSpan: found.store,
        attachedBytes: found.attachedBytes,
        open: found.open,
        empty: found.empty,
      };
    },
  };
}
