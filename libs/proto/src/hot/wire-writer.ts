/**
 * Sizes of protobuf fields, and the fields themselves, written into a buffer of that size.
 *
 * Every `...Bytes` function says how many bytes the `write...` function of the same name will take,
 * tag included; what proto3 leaves out takes none. Writers return the position behind what they
 * wrote. Numbers are whole and between 0 and 2^53 - 1; anything else is refused, never guessed at.
 */

/** Up to here a loop is faster than a call into the engine. */
const COPY_LOOP_BYTES_MAX = 12;

export function varintBytes(value: number): number {
  if (value >>> 0 !== value) return wideVarintBytes(value);
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  return value < 0x10000000 ? 4 : 5;
}

function wideVarintBytes(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${value} is not a number that the wire has`);
  }
  if (value < 2 ** 35) return 5;
  if (value < 2 ** 42) return 6;
  return value < 2 ** 49 ? 7 : 8;
}

export function writeVarint(out: Buffer, at: number, value: number): number {
  if (value < 0x80) {
    out[at] = value;
    return at + 1;
  }
  return writeLongVarint(out, at, value);
}

function writeLongVarint(out: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value;
  while (rest > 0x7fffffff) {
    out[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

export function numberBytes(value: number): number {
  return value === 0 ? 0 : 1 + varintBytes(value);
}

export function writeNumber(out: Buffer, at: number, tag: number, value: number): number {
  if (value === 0) return at;
  out[at] = tag;
  return writeVarint(out, at + 1, value);
}

export function flagBytes(value: boolean): number {
  return value ? 2 : 0;
}

export function writeFlag(out: Buffer, at: number, tag: number, value: boolean): number {
  if (!value) return at;
  out[at] = tag;
  out[at + 1] = 1;
  return at + 2;
}

/** A bytes field that is left out when it is empty. */
export function dataBytes(data: Uint8Array): number {
  return data.length === 0 ? 0 : nestedBytes(data.length);
}

export function writeData(out: Buffer, at: number, tag: number, data: Uint8Array): number {
  return data.length === 0 ? at : writePresentData(out, at, tag, data);
}

/** A bytes field that is there even when it is empty. */
export function writePresentData(out: Buffer, at: number, tag: number, data: Uint8Array): number {
  return copyInto(out, writeNested(out, at, tag, data.length), data);
}

/** Tag, length and content of what is `length` bytes long. */
export function nestedBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}

/** Writes tag and length; the content is next. */
export function writeNested(out: Buffer, at: number, tag: number, length: number): number {
  out[at] = tag;
  return writeVarint(out, at + 1, length);
}

export function copyInto(out: Buffer, at: number, data: Uint8Array): number {
  const { length } = data;
  if (length > COPY_LOOP_BYTES_MAX) out.set(data, at);
  else for (let i = 0; i < length; i++) out[at + i] = data[i] ?? 0;
  return at + length;
}

/** The buffer, once all of it is written: what is not would be someone else's memory. */
export function filled(out: Buffer, at: number): Buffer {
  if (at !== out.length) throw new Error(`a message of ${out.length} bytes took ${at}`);
  return out;
}

/** An int64 field of any value: what is negative or large goes a slower way. */
export function int64Bytes(value: bigint): number {
  const number = Number(value);
  if (number >= 0 && number <= Number.MAX_SAFE_INTEGER) return numberBytes(number);
  if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} is no 64-bit integer`);
  if (number < 0) return 11;
  return value < 1n << 56n ? 9 : 10;
}

export function writeInt64(out: Buffer, from: number, tag: number, value: bigint): number {
  const number = Number(value);
  if (number >= 0 && number <= Number.MAX_SAFE_INTEGER) return writeNumber(out, from, tag, number);
  let at = from;
  out[at++] = tag;
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    out[at++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  out[at++] = Number(rest);
  return at;
}

/** An enum field: what no enum names may be negative. */
export function int32Bytes(value: number): number {
  return value >= 0 ? numberBytes(value) : int64Bytes(BigInt(value));
}

export function writeInt32(out: Buffer, at: number, tag: number, value: number): number {
  return value >= 0 ? writeNumber(out, at, tag, value) : writeInt64(out, at, tag, BigInt(value));
}

/** A fixed64 that may be absent, and then takes nothing. */
export function fixed64Bytes(value: bigint | undefined): number {
  return value === undefined ? 0 : 1 + 8;
}

export function writeFixed64(
  out: Buffer,
  at: number,
  tag: number,
  value: bigint | undefined,
): number {
  if (value === undefined) return at;
  return out.writeBigUInt64LE(value, out.writeUInt8(tag, at));
}
