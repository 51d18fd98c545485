/**
 * Protobuf by hand: just as much of it as the contract needs, and nothing that this project has made.
 *
 * In: bytes, and which fields a message may have. Out: their values; or bytes, from values. Strict: a
 * field that the contract does not name, or of another wire type, is an error and not passed over.
 */

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const VARINT_BYTES_MAX = 10;

export type FieldKind = 'varint' | 'bytes';
/** The fields of a message by number. */
export type Shape = Readonly<Record<number, FieldKind>>;

/** The fields that were there; of one that may be there once, the last counts. */
export class Fields {
  private readonly varints = new Map<number, bigint>();
  private readonly byteFields = new Map<number, Buffer[]>();
  private at = 0;

  constructor(
    private readonly input: Buffer,
    private readonly message: string,
    shape: Shape,
  ) {
    while (this.at < input.length) {
      const tag = Number(this.readVarint());
      const [number, wireType] = [tag >>> 3, tag & 7];
      const kind = shape[number];
      if (kind === undefined) throw this.wrong(`has a field ${number}`);
      if (wireType !== (kind === 'varint' ? VARINT : LENGTH_DELIMITED)) {
        throw this.wrong(`has field ${number} with wire type ${wireType}`);
      }
      if (kind === 'varint') this.varints.set(number, this.readVarint());
      else this.byteFields.set(number, [...this.all(number), this.readBytes()]);
    }
  }

  has(number: number): boolean {
    return this.varints.has(number) || this.byteFields.has(number);
  }

  number(number: number): number {
    return Number(this.varints.get(number) ?? 0n);
  }

  bytes(number: number): Buffer {
    return this.all(number).at(-1) ?? Buffer.alloc(0);
  }

  text(number: number): string {
    return this.bytes(number).toString();
  }

  all(number: number): readonly Buffer[] {
    return this.byteFields.get(number) ?? [];
  }

  private readVarint(): bigint {
    let value = 0n;
    for (let nth = 0; nth < VARINT_BYTES_MAX; nth++) {
      const byte = this.input[this.at++];
      if (byte === undefined) throw this.wrong('ends within a number');
      value |= BigInt(byte & 0x7f) << BigInt(7 * nth);
      if (byte < 0x80) return value;
    }
    throw this.wrong('has a number without end');
  }

  private readBytes(): Buffer {
    const length = Number(this.readVarint());
    const end = this.at + length;
    if (end > this.input.length) throw this.wrong('ends within a field');
    const bytes = this.input.subarray(this.at, end);
    this.at = end;
    return bytes;
  }

  private wrong(what: string): Error {
    return new Error(`${this.message} ${what}: ${this.input.subarray(0, 64).toString('hex')}`);
  }
}

/** A number and a value; without a value the field is left out. */
export type FieldEntry = readonly [number, bigint | number | string | Uint8Array | undefined];

/** Field by field, in the order of the entries. */
export function message(...fields: readonly FieldEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const [number, value] of fields) {
    if (value === undefined) continue;
    if (typeof value === 'number' || typeof value === 'bigint') {
      parts.push(varint(BigInt(number << 3)), varint(BigInt(value)));
    } else {
      const bytes = Buffer.from(value);
      const tag = BigInt((number << 3) | LENGTH_DELIMITED);
      parts.push(varint(tag), varint(BigInt(bytes.length)), bytes);
    }
  }
  return Buffer.concat(parts);
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 0x7fn) | 0x80);
  }
}
