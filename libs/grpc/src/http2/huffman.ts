/**
 * The Huffman code of HPACK (RFC 7541, appendix B).
 *
 * The code is canonical: the length of each symbol's code tells the codes. They are made from the
 * lengths at start, and so is the automaton that decodes half a byte at a step.
 *
 * Must never accept a padding that is longer than seven bits or is not made of ones, nor the symbol
 * that ends a string.
 */
import { ErrorCode, Http2Error } from './constants.js';

/** Length in bits of the code of each byte; the last is that of the end of string. */
const LENGTHS: readonly number[] = [
  [13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  [28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  [6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  [5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  [13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  [7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  [15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  [6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  [20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  [24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  [22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  [21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  [26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  [19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  [20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  [26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  [30],
].flat();

const END_OF_STRING = 256;
const STEP_BITS = 4;
const STEPS = 1 << STEP_BITS;
const PADDING_BITS_MAX = 7;

const CODES = canonicalCodes();

/** One code a symbol: the shorter before the longer, equals in the order of the symbols. */
function canonicalCodes(): Uint32Array {
  const symbols = LENGTHS.map((_, symbol) => symbol);
  symbols.sort((a, b) => (LENGTHS[a] ?? 0) - (LENGTHS[b] ?? 0) || a - b);
  const codes = new Uint32Array(LENGTHS.length);
  let code = 0;
  let length = LENGTHS[symbols[0] ?? 0] ?? 0;
  for (const symbol of symbols) {
    const next = LENGTHS[symbol] ?? 0;
    code *= 2 ** (next - length);
    length = next;
    codes[symbol] = code++;
  }
  return codes;
}

/*
 * The automaton: a state is a node of the code's tree. `NEXT[state * 16 + nibble]` is the state after
 * four more bits, FAILED where they cannot be; `EMITTED` the symbol they complete, or NONE.
 * No code is shorter than five bits, so four bits never complete two.
 */
const FAILED = 0xffff;
const NONE = 0xffff;
const { next: NEXT, emitted: EMITTED, mayEnd: MAY_END } = automaton();

interface Automaton {
  readonly next: Uint16Array;
  readonly emitted: Uint16Array;
  /** Whether a string may end here: only ones, at most seven, since the last symbol. */
  readonly mayEnd: Uint8Array;
}

function automaton(): Automaton {
  const { children, symbolOf } = tree();
  const next = new Uint16Array(children.length * STEPS);
  const emitted = new Uint16Array(children.length * STEPS).fill(NONE);
  for (let state = 0; state < children.length; state++) {
    for (let nibble = 0; nibble < STEPS; nibble++) {
      let at = state;
      for (let bit = STEP_BITS - 1; bit >= 0 && at !== FAILED; bit--) {
        const child = children[at]?.[(nibble >> bit) & 1] ?? FAILED;
        const symbol = symbolOf.get(child);
        if (symbol === END_OF_STRING) at = FAILED;
        else if (symbol === undefined) at = child;
        else {
          emitted[state * STEPS + nibble] = symbol;
          at = 0;
        }
      }
      next[state * STEPS + nibble] = at;
    }
  }
  const mayEnd = new Uint8Array(children.length);
  for (let ones = 0, at = 0; ones <= PADDING_BITS_MAX; ones++) {
    mayEnd[at] = 1;
    at = children[at]?.[1] ?? 0;
  }
  return { next, emitted, mayEnd };
}

function tree(): { children: number[][]; symbolOf: Map<number, number> } {
  const children: number[][] = [[]];
  const symbolOf = new Map<number, number>();
  for (let symbol = 0; symbol < LENGTHS.length; symbol++) {
    let at = 0;
    for (let bit = (LENGTHS[symbol] ?? 0) - 1; bit >= 0; bit--) {
      const side = Math.floor((CODES[symbol] ?? 0) / 2 ** bit) % 2;
      const node = (children[at] ??= []);
      at = node[side] ??= children.push([]) - 1;
    }
    symbolOf.set(at, symbol);
  }
  return { children, symbolOf };
}

/** Room that a decoded string needs at most: the shortest code has five bits. */
export function decodedBytesMax(encodedBytes: number): number {
  return Math.floor((encodedBytes * 8) / 5);
}

/** Decodes `source[from..to)` into `target`; gives how many bytes it became. Throws Http2Error. */
export function huffmanDecode(source: Buffer, from: number, to: number, target: Buffer): number {
  let state = 0;
  let length = 0;
  for (let at = from; at < to; at++) {
    const byte = source[at] ?? 0;
    const high = state * STEPS + (byte >> STEP_BITS);
    const first = EMITTED[high] ?? NONE;
    if (first !== NONE) target[length++] = first;
    state = NEXT[high] ?? FAILED;
    if (state === FAILED) throw corrupt();
    const low = state * STEPS + (byte & (STEPS - 1));
    const second = EMITTED[low] ?? NONE;
    if (second !== NONE) target[length++] = second;
    state = NEXT[low] ?? FAILED;
    if (state === FAILED) throw corrupt();
  }
  if (MAY_END[state] !== 1) throw corrupt();
  return length;
}

/** Bytes that `text` takes encoded; characters above 255 are not text of a header. */
export function huffmanBytes(text: string): number {
  let bits = 0;
  for (let at = 0; at < text.length; at++) bits += LENGTHS[text.charCodeAt(at)] ?? 0;
  return Math.ceil(bits / 8);
}

/** Encodes `text` into `target` from `offset`; gives the offset behind it. */
export function huffmanEncode(text: string, target: Buffer, offset: number): number {
  let at = offset;
  let held = 0;
  let heldBits = 0;
  for (let position = 0; position < text.length; position++) {
    const symbol = text.charCodeAt(position);
    let bits = LENGTHS[symbol] ?? 0;
    const code = CODES[symbol] ?? 0;
    // At most seven bits are held, and a piece adds at most sixteen: no shift leaves 32 bits.
    while (bits > 0) {
      const piece = Math.min(bits, 16);
      bits -= piece;
      held = (held << piece) | ((code >>> bits) & ((1 << piece) - 1));
      heldBits += piece;
      while (heldBits >= 8) {
        heldBits -= 8;
        target[at++] = (held >>> heldBits) & 0xff;
      }
      held &= (1 << heldBits) - 1;
    }
  }
  if (heldBits > 0) target[at++] = ((held << (8 - heldBits)) | (0xff >>> heldBits)) & 0xff;
  return at;
}

function corrupt(): Http2Error {
  return new Http2Error(ErrorCode.CompressionError, 'a Huffman-coded string is damaged');
}
