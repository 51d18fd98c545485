/**
 * The little of protobuf that membership changes need: varints and byte strings.
 *
 * Reading is strict: what is cut, too long or out of range is a ConfChangeDecodeError, because an
 * entry that cannot be read must stop the replica and not change its membership.
 */

export class ConfChangeDecodeError extends Error {
  readonly code = 'conf-change-malformed';
  readonly retryable = false;

  constructor(reason: string) {
    super(`malformed membership change: ${reason}`);
    this.name = 'ConfChangeDecodeError';
  }
}

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;
/** Longest varint: 64 bits in groups of seven. */
const VARINT_BYTES_MAX = 10;

export class ProtoWriter {
  private readonly out: number[] = [];

  /** A number field; 0 is left out, as proto3 does. */
  varint(field: number, value: number): void {
    if (value === 0) return;
    this.raw(field * 8 + WIRE_VARINT);
    this.raw(value);
  }

  /** A byte string; an empty one is left out unless `always`. */
  bytes(field: number, value: Uint8Array, always = false): void {
    if (value.length === 0 && !always) return;
    this.raw(field * 8 + WIRE_BYTES);
    this.raw(value.length);
    for (const byte of value) this.out.push(byte);
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.out);
  }

  private raw(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`not an unsigned integer: ${value}`);
    }
    let rest = value;
    while (rest >= 0x80) {
      this.out.push((rest % 0x80) + 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.out.push(rest);
  }
}

export class ProtoReader {
  private at = 0;
  private wireType = WIRE_VARINT;

  constructor(private readonly data: Uint8Array) {}

  /** Calls `take` for each field, which must read or skip its value. */
  each(take: (field: number, reader: ProtoReader) => void): void {
    while (this.at < this.data.length) {
      const tag = this.raw();
      const field = Math.floor(tag / 8);
      if (field === 0) throw new ConfChangeDecodeError('field number 0');
      this.wireType = tag % 8;
      take(field, this);
    }
  }

  varint(): number {
    this.expect(WIRE_VARINT);
    return this.raw();
  }

  bytes(): Uint8Array {
    this.expect(WIRE_BYTES);
    return this.take(this.raw());
  }

  skip(): void {
    if (this.wireType === WIRE_VARINT) this.raw();
    else if (this.wireType === WIRE_BYTES) this.take(this.raw());
    else if (this.wireType === WIRE_FIXED64) this.take(8);
    else if (this.wireType === WIRE_FIXED32) this.take(4);
    else throw new ConfChangeDecodeError(`unknown wire type ${this.wireType}`);
  }

  private expect(wireType: number): void {
    if (this.wireType === wireType) return;
    throw new ConfChangeDecodeError(`wire type ${this.wireType} where ${wireType} belongs`);
  }

  private take(length: number): Uint8Array {
    if (this.at + length > this.data.length) throw new ConfChangeDecodeError('it is cut');
    const bytes = this.data.subarray(this.at, this.at + length);
    this.at += length;
    return bytes;
  }

  private raw(): number {
    let value = 0;
    const end = this.at + VARINT_BYTES_MAX;
    for (let scale = 1; this.at < end; scale *= 0x80) {
      const byte = this.data[this.at++];
      if (byte === undefined) throw new ConfChangeDecodeError('it is cut');
      value += (byte % 0x80) * scale;
      if (!Number.isSafeInteger(value)) throw new ConfChangeDecodeError('a number is too large');
      if (byte < 0x80) return value;
    }
    throw new ConfChangeDecodeError('a number is too long');
  }
}
