/** What the door needs to know of a body besides the verdict: its model, its numbers, and where its pieces lie. Filled in by judge.ts, read by scan.ts. */
import type { Take } from '../kinds/spot.ts';
import type { Span } from './scan.ts';

/** A text that is its own piece of the record only when a digest is shorter. */
const worthOfDigest = 64;
/** A piece is a line in the ledger; a conversation of more turns than this fits no model. */
const maxParts = 10_000;

export class Found {
  model: string | null = null;
  modelSpan: Span | null = null;
  readonly innerModels: { name: string; span: Span }[] = [];
  stream: boolean | null = null;
  /** The largest of all that are said: which one a server obeys is not known here. */
  maxTokens: number | null = null;
  /** One of them is below 1: "no limit" (Ollama's -1), or an error at the provider. */
  endless = false;
  answers = 1;
  readonly parts: Span[] = [];
  user: Span | null = null;
  metadata: Span | null = null;
  streamOptions: Span | null = null;
  streamOptionsEmpty = false;
  includeUsage: Span | null = null;
  asksUsage = false;
  store: Span | null = null;
  /** Bytes of inline attachments: images, sound, files in base64. */
  attachedBytes = 0;
  /** Right after the first `{`. */
  open = 0;
  empty = true;

  name(take: 'model' | 'innerModel', name: string, span: Span): void {
    if (take === 'innerModel') this.innerModels.push({ name, span });
    else {
      this.model = name;
      this.modelSpan = span;
    }
  }

  number(take: Take, value: number): void {
    if (take === 'answers') this.answers = Math.max(this.answers, value);
    else if (value < 1) this.endless = true;
    else this.maxTokens = Math.max(this.maxTokens ?? 0, value);
  }

  literal(take: Take, value: boolean | null, span: Span): void {
    if (take === 'stream') this.stream = value;
    else if (take === 'includeUsage') {
      this.includeUsage = span;
      this.asksUsage = value === true;
    } else if (take !== 'part' && take !== 'long') this.place(take, span, false);
  }

  /** `empty`: of an object, that it has no members. */
  place(take: Take, span: Span, empty: boolean): void {
    switch (take) {
      case 'part':
      case 'long':
        this.#part(take, span);
        break;
      case 'streamOptions':
        this.streamOptions = span;
        this.streamOptionsEmpty = empty;
        break;
      case 'user':
      case 'metadata':
      case 'store':
        this[take] = span;
        break;
    }
  }

  /** Pieces do not lie in one another: a list of pieces is not one itself. */
  #part(take: Take, span: Span): void {
    if (take === 'long' && span.to - span.from <= worthOfDigest) return;
    const last = this.parts.at(-1);
    if (this.parts.length < maxParts && (last === undefined || last.from < span.from)) this.parts.push(span);
  }
}
