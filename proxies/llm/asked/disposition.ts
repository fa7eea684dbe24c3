/** What a form says of its parts: the boundary between them, and the name in front of each (RFC 7578, RFC 2046). Read by multipart.ts. */
import { isUtf8 } from 'node:buffer';

export type Disposition = { name: string; file: boolean };

/** A header's value; bytes beyond ASCII are in file names. */
const printable = /^[\t\x20-\x7e\x80-\xff]*$/;

/** RFC 2046, section 5.1.1, without the blank; the one parameter, given once. */
export function boundaryOf(contentType: string | undefined): string | undefined {
  const found =
    /^multipart\/form-data[ \t]*;[ \t]*boundary=(?:"([^"\\]{1,70})"|([^\s";,]{1,70}))[ \t]*$/i.exec(
      contentType ?? '',
    );
  const boundary = found?.[1] ?? found?.[2];
  return boundary !== undefined && /^[0-9A-Za-z'()+_,./:=?-]+$/.test(boundary) ? boundary : undefined;
}

/** The headers of one part, without the empty line behind them. A string is what is wrong. */
export function dispositionOf(head: Buffer): Disposition | string {
  if (!isUtf8(head)) return 'a header is not UTF-8';
  let disposition: string | undefined;
  let typed = false;
  for (const line of head.toString('latin1').split('\r\n')) {
    const [, name = '', value = ''] = /^([A-Za-z-]+):[ \t]*(.*)$/.exec(line) ?? [];
    if (!printable.test(value)) return 'a header holds a control character';
    if (name.toLowerCase() === 'content-disposition' && disposition === undefined) disposition = value;
    else if (name.toLowerCase() === 'content-type' && !typed) typed = true;
    else return 'a part has a header that forms do not have';
  }
  const said = /^form-data; ?name="([^"\\]{1,100})"(?:; ?filename="([^"\\]{0,512})")?$/i.exec(
    disposition ?? '',
  );
  const name = said?.[1];
  return name === undefined ? 'a part has no plain name' : { name, file: said?.[2] !== undefined };
}
