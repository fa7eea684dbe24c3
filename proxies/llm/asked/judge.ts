/** The model vendor is not a way out: judges each place of a JSON body as it comes by, and notes where the pieces lie that the door needs. Fed by json.ts, made by scan.ts. */
import { cannotScan, type Denial } from '../denial.ts';
import type { Take } from '../kinds/spot.ts';
import {
  attachmentBytes,
  decode,
  headBytes,
  isBase64,
  isInline,
  isStoredAddress,
  looksLikeAddress,
  maxUrlBytes,
} from './address.ts';
import { Found } from './found.ts';
import { type Grammar, names, roleName, typeName } from './grammar.ts';
import type { JsonEvents } from './json.ts';
import { hashBytes, hashText, meaningOf } from './names.ts';
import type { Text } from './piece.ts';
import { kindBits, type Position } from './position.ts';
import { notWeb, refused, urlRefused } from './refusals.ts';
import type { Span, UrlJudge } from './scan.ts';

/** Bytes as written. The longest model name in use is a path of about 120. */
const maxModelBytes = 512;

/** An object or list that is open. */
type Frame = {
  position: Position;
  list: boolean;
  at: number;
  key: string;
  keyId: number;
  take: Take | undefined;
  empty: boolean;
  /** The name of its type, 0 for none. */
  type: number;
  role: boolean;
  /** Keys that stand only beside some types. */
  besides: number[];
  /** A label in it looks like an address. */
  label: boolean;
  /** Bytes of texts in it that look like attachments: of a source, its type says whether they are. */
  attached: number;
};

export class Judge implements JsonEvents {
  keep = headBytes;
  identity = 0;
  readonly found = new Found();
  readonly #judgeUrl: UrlJudge | undefined;
  /** Of the value that comes. */
  #position: Position;
  /** The key before it, for a sentence. */
  #key = '';
  #keyId = 0;
  #frame: Frame | undefined;
  readonly #frames: Frame[] = [];
  #depth = 0;

  constructor(grammar: Grammar, judgeUrl: UrlJudge | undefined) {
    this.#position = grammar.body;
    this.#judgeUrl = judgeUrl;
  }

  key(text: Text, hash: number, decoded: string | undefined): Denial | undefined {
    const frame = this.#frame as Frame;
    const { position } = frame;
    frame.empty = false;
    const id = decoded === undefined ? names.find(hash, text.bytes, text.from, text.to) : names.idOf(decoded);
    this.#keyId = id;
    let next: Position | undefined;
    if (position.free) {
      this.identity = hash;
      next = id === 0 ? position.inner : position.at(id);
    } else if (id !== 0) {
      this.identity = names.meanings[id] as number;
      next = position.at(id);
      if (id === roleName) frame.role = true;
      else if (position.beside?.has(id)) frame.besides.push(id);
    } else {
      this.#key = decoded ?? text.bytes.toString('latin1', text.from, text.to);
      const meaning = meaningOf(this.#key);
      this.identity = hashText(meaning);
      next = position.closed ? undefined : position.unknown(meaning);
    }
    if (next === undefined) return refused(position.fault, this.#keyText());
    this.#position = next;
    this.keep = next.string === 'url' && this.#judgeUrl ? maxUrlBytes : headBytes;
    if (next.take === 'model' || next.take === 'innerModel') this.keep = maxModelBytes;
    return undefined;
  }

  open(list: boolean, at: number): Denial | undefined {
    const position = this.#position;
    if ((position.may & (list ? kindBits.list : kindBits.object)) === 0) return this.#malformed(position);
    const inner = list ? position : position.object;
    let frame = this.#frames[this.#depth];
    if (!frame) {
      frame = {
        position,
        list,
        at,
        key: '',
        keyId: 0,
        take: undefined,
        empty: true,
        type: 0,
        role: false,
        besides: [],
        label: false,
        attached: 0,
      };
      this.#frames.push(frame);
    }
    frame.position = inner;
    frame.list = list;
    frame.at = at;
    // A content that is one part, not a list of them, is still one content.
    frame.take = position.take ?? inner.take;
    frame.empty = true;
    frame.type = 0;
    frame.role = false;
    if (frame.besides.length > 0) frame.besides = [];
    frame.label = false;
    frame.attached = 0;
    if (this.#depth === 0) this.found.open = at + 1;
    frame.key = this.#key;
    frame.keyId = this.#keyId;
    this.#depth++;
    this.#frame = frame;
    if (list) this.#enter(frame);
    return undefined;
  }

  close(end: number): Denial | undefined {
    const frame = this.#frame as Frame;
    const { position, at } = frame;
    if (!frame.list && position.atEnd) {
      const denial = this.#objectEnds(frame);
      if (denial) return denial;
    }
    if (frame.take !== undefined) this.found.place(frame.take, { from: at, to: end }, frame.empty);
    if (--this.#depth === 0) {
      this.found.empty = frame.empty;
      return undefined;
    }
    const outer = this.#frames[this.#depth - 1] as Frame;
    outer.empty = false;
    this.#frame = outer;
    if (outer.list) this.#enter(outer);
    return undefined;
  }

  string(text: Text, at: number, end: number): Denial | undefined {
    const position = this.#position;
    if ((position.may & kindBits.string) === 0) return this.#malformed(position, text);
    const frame = this.#frame as Frame;
    frame.empty = false;
    if (end - at > attachmentBytes && isBase64(text)) {
      // Prose whose beginning has no blank would be reckoned as an image, at a sixteenth of its tokens.
      if (position.string === 'text') frame.attached += end - at;
      else this.found.attachedBytes += end - at;
    }
    if (position.words) {
      const word = wordOf(text);
      if (!position.words.has(word)) {
        return refused(position.fault, this.#keyText(), beginning(text));
      }
      if (this.#keyId === typeName && !frame.list) {
        frame.type = word;
        if (frame.position.fetching?.has(word) && !this.#judgeUrl)
          return refused(position.fault, 'type', beginning(text));
      }
    } else if (position.string !== 'text') {
      const denial = this.#address(position, text, frame);
      if (denial) return denial;
    }
    return position.take === undefined
      ? undefined
      : this.#takeString(position.take, text, { from: at, to: end });
  }

  number(text: Text, at: number, end: number): Denial | undefined {
    const position = this.#position;
    (this.#frame as Frame).empty = false;
    if ((position.may & kindBits.number) === 0) return this.#malformed(position);
    if (position.take !== 'maxTokens' && position.take !== 'answers') return undefined;
    if (!text.whole || end - at > 40) return cannotScan(`${this.#keyText()} is no number that anybody means`);
    const value = Number(text.bytes.toString('latin1', text.from, text.to));
    if (!Number.isFinite(value)) return this.#malformed(position);
    this.found.number(position.take, value);
    return undefined;
  }

  literal(value: boolean | null, at: number, end: number): Denial | undefined {
    const position = this.#position;
    const frame = this.#frame as Frame;
    frame.empty = false;
    if (value === null) {
      if (frame.list && position.may === 0) return this.#malformed(position);
    } else if ((position.may & (value ? kindBits.true : kindBits.false)) === 0)
      return this.#malformed(position);
    if (position.take !== undefined) this.found.literal(position.take, value, { from: at, to: end });
    return undefined;
  }

  /** An element of a list comes. */
  #enter(list: Frame): void {
    const position = list.position.each;
    this.#position = position;
    this.#keyId = list.keyId;
    this.#key = list.key;
    this.keep = position.string === 'url' && this.#judgeUrl ? maxUrlBytes : headBytes;
  }

  /** What can be told only when all keys are known, in whatever order they came. */
  #objectEnds({ position, type, role, besides, label, attached }: Frame): Denial | undefined {
    if (type === base64Type) this.found.attachedBytes += attached;
    if (type === 0) {
      if (position.untyped === 'refused' || (position.untyped === 'with role' && !role))
        return refused(position.fault, 'type');
    }
    for (const id of besides) {
      if (!position.beside?.get(id)?.has(type)) return refused('part', names.texts[id] as string);
    }
    return label && !position.labels?.has(type) ? urlRefused('source') : undefined;
  }

  #address(position: Position, text: Text, frame: Frame): Denial | undefined {
    if (position.string === 'ref') {
      return text.from === text.to || text.bytes[text.from] === 0x23 ? undefined : urlRefused('$ref');
    }
    if (position.string === 'url' ? isInline(text) : !looksLikeAddress(text)) return undefined;
    if (position.string === 'label') {
      frame.label = true;
      return undefined;
    }
    if (!this.#judgeUrl) return urlRefused(this.#keyText());
    if (!text.whole || text.to - text.from > (position.string === 'url' ? maxUrlBytes : headBytes)) {
      return urlRefused(this.#keyText());
    }
    const url = decode(text);
    if (isStoredAddress(url)) return refused('stored', this.#keyText());
    return /^https?:\/\/[^\s\\]+$/i.test(url) ? this.#judgeUrl(url) : notWeb(this.#keyText());
  }

  #takeString(take: Take, text: Text, span: Span): Denial | undefined {
    if (take === 'model' || take === 'innerModel') {
      if (!text.whole || text.to - text.from > maxModelBytes)
        return cannotScan('the name of its model is too long');
      this.found.name(take, decode(text), span);
    } else if (take === 'streamFormat') this.found.stream = wordOf(text) === sseWord;
    else this.found.place(take, span, false);
    return undefined;
  }

  #malformed(position: Position, text?: Text): Denial {
    return refused(position.fault, this.#keyText(), text && beginning(text));
  }

  #keyText(): string {
    return this.#keyId !== 0 ? (names.texts[this.#keyId] as string) : this.#key;
  }
}

const sseWord = names.intern('sse');
const base64Type = names.intern('base64');

/** Its number among the words of the grammar, 0 for none. */
function wordOf(text: Text): number {
  if (!text.whole || text.to - text.from > headBytes) return 0;
  if (text.escaped) return names.idOf(decode(text));
  return names.find(hashBytes(text.bytes, text.from, text.to), text.bytes, text.from, text.to);
}

const beginning = (text: Text): string =>
  text.whole ? decode(text).slice(0, 120) : text.bytes.toString('latin1', text.from, text.to).slice(0, 120);
