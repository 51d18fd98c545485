/**
 * Unsigned numbers up to 2^53 - 1 as bytes: base-128 varints (as in protobuf) inside row values, and
 * fixed big-endian words inside keys, where byte order must be number order.
 *
 * In: a number or a buffer with a position. Out: bytes or a number. A read past the end or of a
 * number that is not safe must never return: it throws, as the row is damaged.
 */
import { TableError } from './table-error.js';

const WORD = 0x1_0000_0000;

/** The longest number takes so many bytes. */
export const VARINT_BYTES_MAX = 8;

export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

/** Returns the position after the number. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  let position = at;
  while (rest > 0x7fffffff) {
    target[position++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  while (rest >= 0x80) {
    target[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[position++] = rest;
  return position;
}

/** Reads numbers one after the other. */
export class VarintReader {
  constructor(
    readonly bytes: Uint8Array,
    public position: number,
    private readonly end: number = bytes.length,
  ) {}

  next(): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.bytes[this.position];
      if (byte === undefined || this.position >= this.end) throw damaged('a number is cut off');
      this.position += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 0x80;
    }
    if (!Number.isSafeInteger(value)) throw damaged('a number is out of range');
    return value;
  }
}

export function writeUint64(target: Buffer, at: number, value: number): number {
  target.writeUInt32BE(Math.floor(value / WORD), at);
  target.writeUInt32BE(value % WORD, at + 4);
  return at + 8;
}

export function readUint64(source: Buffer, at: number): number {
  const value = source.readUInt32BE(at) * WORD + source.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) throw damaged('a number is out of range');
  return value;
}

export function damaged(what: string): TableError {
  return new TableError('TABLE_ROW_CORRUPT', `a stored row is damaged: ${what}`);
}
