/**
 * Reads protobuf fields from bytes, without copying what it reads.
 *
 * Numbers are checked to be safe integers; whatever does not fit is a `WireError`, never a guess.
 */
import { WireError, WireErrorCode } from './wire-error.js';

export const WIRE_VARINT = 0;
export const WIRE_64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_32 = 5;

const VARINT_BYTES_MAX = 10;

export class FieldReader {
  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
    private readonly end: number,
  ) {}

  get isAtEnd(): boolean {
    return this.at >= this.end;
  }

  /** The next field: number * 8 + wire type. */
  tag(): number {
    return this.varint();
  }

  varint(): number {
    const { bytes, end } = this;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      if (this.at >= end) throw truncated();
      const byte = bytes[this.at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) throw tooLarge();
        return value;
      }
      scale *= 128;
    }
    throw tooLarge();
  }

  /** A reader of the message that follows. */
  message(): FieldReader {
    const length = this.varint();
    const from = this.at;
    if (length > this.end - from) throw truncated();
    this.at = from + length;
    return new FieldReader(this.bytes, from, this.at);
  }

  /** A view of the bytes that follow; it keeps all of the frame alive. */
  view(): Uint8Array {
    const length = this.varint();
    const from = this.at;
    if (length > this.end - from) throw truncated();
    this.at = from + length;
    return this.bytes.subarray(from, this.at);
  }

  text(): string {
    const { buffer, byteOffset, length } = this.view();
    return Buffer.from(buffer, byteOffset, length).toString();
  }

  /** Appends numbers that may be packed or single. */
  numbers(wireType: number, into: number[]): void {
    if (wireType === WIRE_VARINT) {
      into.push(this.varint());
      return;
    }
    if (wireType !== WIRE_BYTES) throw wrongType();
    const packed = this.message();
    while (!packed.isAtEnd) into.push(packed.varint());
  }

  /** Passes over a field that is not known here. */
  skip(wireType: number): void {
    if (wireType === WIRE_VARINT) this.skipVarint();
    else if (wireType === WIRE_BYTES) this.message();
    else if (wireType === WIRE_64) this.forward(8);
    else if (wireType === WIRE_32) this.forward(4);
    else throw wrongType();
  }

  /** An unknown number may be any 64 bits. */
  private skipVarint(): void {
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      if (this.at >= this.end) throw truncated();
      if ((this.bytes[this.at++] ?? 0) < 0x80) return;
    }
    throw tooLarge();
  }

  private forward(count: number): void {
    if (count > this.end - this.at) throw truncated();
    this.at += count;
  }
}

function truncated(): WireError {
  return new WireError(WireErrorCode.Truncated, 'the frame ends in the middle of a field');
}

function tooLarge(): WireError {
  return new WireError(WireErrorCode.Number, 'a number is above 2^53 - 1');
}

function wrongType(): WireError {
  return new WireError(WireErrorCode.Type, 'a field has the wrong type');
}
