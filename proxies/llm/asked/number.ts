/** The grammar of a JSON number (RFC 8259, section 6), byte by byte. Walked by json.ts. */

/** States: 1 after `-`, 2 after a leading 0, 3 in the integer, 4 after the point, 5 in the fraction, 6 after `e`, 7 after its sign, 8 in the exponent. */
const digitAfter = [3, 3, 0, 3, 5, 5, 8, 8, 8];
const ends = [false, false, true, true, false, true, false, false, true];

/** The state after a byte; 0 for one that does not belong to the number. It begins in state 0. */
export function numberState(state: number, code: number): number {
  if (code >= 0x30 && code <= 0x39) return code === 0x30 && state <= 1 ? 2 : (digitAfter[state] as number);
  if (code === 0x2e) return state === 2 || state === 3 ? 4 : 0;
  if (code === 0x65 || code === 0x45) return state === 2 || state === 3 || state === 5 ? 6 : 0;
  if (code === 0x2b) return state === 6 ? 7 : 0;
  if (code === 0x2d) return state === 6 ? 7 : state === 0 ? 1 : 0;
  return 0;
}

/** A number may end here. */
export const isNumber = (state: number): boolean => ends[state] === true;
