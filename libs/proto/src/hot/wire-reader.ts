/**
 * Reads protobuf fields from one buffer, without copying what it reads.
 *
 * In: the bytes of a message. Out: tags, numbers, and views of the bytes. It takes and refuses exactly
 * what the reader of the generated codecs does, oddities included: a nested message may read past
 * its own end, but nothing may read past the end of the buffer. A BigInt is made only for a number
 * that is not 0.
 */

/** What a bytes field holds that is not on the wire. */
export const NO_BYTES: Buffer = Buffer.alloc(0);

const VARINT_BYTES_MAX = 10;
const TAG_BYTES_MAX = 5;
/** The last byte of a tag of five bytes has room for four bits. */
const TAG_LAST_BYTE_MAX = 0x0f;
/** Groups within groups, in fields that are not known here. */
const GROUP_DEPTH_MAX = 100;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const GROUP_START = 3;
const GROUP_END = 4;
const FIXED32 = 5;

export class WireReader {
  /** Position of the next byte, and of the end of the buffer. */
  at = 0;
  readonly end: number;
  /** Halves of the number that was read last. */
  private low = 0;
  private high = 0;

  constructor(private readonly bytes: Buffer) {
    this.end = bytes.length;
  }

  /** A tag, a length or an enum: the low 32 bits of a varint. */
  uint32(): number {
    const { at } = this;
    if (at < this.end) {
      const byte = this.bytes[at] ?? 0;
      if (byte < 0x80) {
        this.at = at + 1;
        return byte;
      }
    }
    return this.longUint32();
  }

  int32(): number {
    return this.uint32() | 0;
  }

  int64(): bigint {
    const { at } = this;
    if (at < this.end) {
      const byte = this.bytes[at] ?? 0;
      if (byte < 0x80) {
        this.at = at + 1;
        return byte === 0 ? 0n : BigInt(byte);
      }
    }
    return this.longInt64();
  }

  /** A number that is counted on: refused beyond 2^53 - 1. */
  count(): number {
    const { at } = this;
    if (at < this.end) {
      const byte = this.bytes[at] ?? 0;
      if (byte < 0x80) {
        this.at = at + 1;
        return byte;
      }
    }
    this.readHalves();
    const value = (this.high >>> 0) * 2 ** 32 + (this.low >>> 0);
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is out of range`);
    return value;
  }

  bool(): boolean {
    const { at } = this;
    if (at < this.end) {
      const byte = this.bytes[at] ?? 0;
      if (byte < 0x80) {
        this.at = at + 1;
        return byte !== 0;
      }
    }
    this.readHalves();
    return this.low !== 0 || this.high !== 0;
  }

  /** A view of the bytes of a field; it keeps all of the buffer alive. */
  view(): Buffer {
    const length = this.uint32();
    const from = this.at;
    const to = from + length;
    if (to > this.end) throw prematureEnd();
    this.at = to;
    return length === 0 ? NO_BYTES : this.bytes.subarray(from, to);
  }

  /** Reads the length of a nested message; where that message ends. */
  nestedEnd(): number {
    const length = this.uint32();
    return this.at + length;
  }

  /** Passes over a field that is not known; false if its tag is one that ends the message. */
  passOver(tag: number): boolean {
    if (tag === 0 || (tag & 7) === GROUP_END) return false;
    this.skip(tag & 7, undefined, GROUP_DEPTH_MAX);
    return true;
  }

  private skip(wireType: number, field: number | undefined, depthLeft: number): void {
    if (wireType === VARINT) while (this.byte() >= 0x80);
    else if (wireType === FIXED64) this.forward(8);
    else if (wireType === FIXED32) this.forward(4);
    else if (wireType === LENGTH_DELIMITED) this.forward(this.uint32());
    else if (wireType === GROUP_START) this.skipGroup(field, depthLeft);
    else throw new Error(`cant skip wire type ${wireType}`);
  }

  /** The outermost group may end with any number, groups within it with their own. */
  private skipGroup(field: number | undefined, depthLeft: number): void {
    if (depthLeft <= 0) throw new Error('maximum recursion depth reached');
    for (;;) {
      const tag = this.strictTag();
      const inner = tag >>> 3;
      if ((tag & 7) === GROUP_END) {
        if (field !== undefined && inner !== field) throw new Error('invalid end group tag');
        return;
      }
      this.skip(tag & 7, inner, depthLeft - 1);
    }
  }

  /** Tags within a group are held to more than others. */
  private strictTag(): number {
    const from = this.at;
    const tag = this.uint32();
    const count = this.at - from;
    const last = this.bytes[this.at - 1] ?? 0;
    if (count > TAG_BYTES_MAX || (count === TAG_BYTES_MAX && last > TAG_LAST_BYTE_MAX)) {
      throw new Error('illegal tag: varint overflows uint32');
    }
    if (tag >>> 3 === 0 || (tag & 7) > FIXED32) {
      throw new Error(`illegal tag: field no ${tag >>> 3} wire type ${tag & 7}`);
    }
    return tag;
  }

  private longUint32(): number {
    let value = 0;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      const byte = this.byte();
      if (count < 5) value |= (byte & 0x7f) << (7 * count);
      if (byte < 0x80) return value >>> 0;
    }
    throw new Error('invalid varint');
  }

  private longInt64(): bigint {
    this.readHalves();
    const { low, high } = this;
    if (high === 0) return low === 0 ? 0n : BigInt(low >>> 0);
    return (BigInt(high) << 32n) | BigInt(low >>> 0);
  }

  private readHalves(): void {
    let low = 0;
    let high = 0;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      const byte = this.byte();
      const bits = byte & 0x7f;
      if (count < 4) low |= bits << (7 * count);
      else if (count > 4) high |= bits << (7 * count - 32);
      else {
        low |= bits << 28;
        high = bits >> 4;
      }
      if (byte < 0x80) {
        this.low = low;
        this.high = high;
        return;
      }
    }
    throw new Error('invalid varint');
  }

  fixed32(): number {
    const from = this.at;
    this.forward(4);
    return this.bytes.readUInt32LE(from);
  }

  fixed64(): bigint {
    const from = this.at;
    this.forward(8);
    return this.bytes.readBigUInt64LE(from);
  }

  private byte(): number {
    if (this.at >= this.end) throw prematureEnd();
    return this.bytes[this.at++] ?? 0;
  }

  private forward(count: number): void {
    this.at += count;
    if (this.at > this.end) throw prematureEnd();
  }
}

function prematureEnd(): RangeError {
  return new RangeError('premature EOF');
}
