/**
 * HPACK (RFC 7541) for a client that sends a handful of header lists and reads three header fields.
 *
 * In: the fields of a request, bytes of header blocks of answers. Out: bytes, and `AnswerHeaders`.
 * Both directions use the dynamic table, as any other client would: what a server has to do for it is
 * part of what is measured. It is written for this one purpose so that the measured code has no part
 * in the client.
 */
import { decodeHuffman } from './huffman.js';

export type Field = readonly [name: string, value: string];

/** Table that both sides have unless they say otherwise. */
export const TABLE_BYTES = 4096;
const ENTRY_BYTES = 32;
const FIRST_DYNAMIC = 62;
const STATIC_STATUS = 8;
const STATUSES = ['200', '204', '206', '304', '400', '404', '500'];

/** Names of the static table from index 1 on. */
const STATIC_NAMES = (
  ':authority :method :method :path :path :scheme :scheme :status :status :status :status :status ' +
  ':status :status accept-charset accept-encoding accept-language accept-ranges accept ' +
  'access-control-allow-origin age allow authorization cache-control content-disposition ' +
  'content-encoding content-language content-length content-location content-range content-type ' +
  'cookie date etag expect expires from host if-match if-modified-since if-none-match if-range ' +
  'if-unmodified-since last-modified link location max-forwards proxy-authenticate ' +
  'proxy-authorization range referer refresh retry-after server set-cookie ' +
  'strict-transport-security transfer-encoding user-agent vary via www-authenticate'
).split(' ');

/** Fields that the static table has with their values. */
const STATIC_FIELDS: ReadonlyMap<string, number> = new Map([
  [':method\0POST', 3],
  [':scheme\0http', 6],
]);

/** Makes header blocks; a field sent before is one byte. Must be used in the order of sending. */
export class HpackEncoder {
  /** Fields in the order in which they were added; none is ever evicted. */
  private readonly sent: string[] = [];

  constructor(private readonly indexes: boolean) {}

  encode(fields: readonly Field[]): Buffer {
    const parts: number[] = [];
    for (const [name, value] of fields) {
      const id = `${name}\0${value}`;
      const added = this.sent.indexOf(id);
      const index =
        STATIC_FIELDS.get(id) ??
        (added < 0 ? undefined : FIRST_DYNAMIC + this.sent.length - 1 - added);
      if (index !== undefined) {
        parts.push(...integer(0x80, 7, index));
        continue;
      }
      const nameIndex = STATIC_NAMES.indexOf(name) + 1;
      parts.push(...(this.indexes ? integer(0x40, 6, nameIndex) : integer(0, 4, nameIndex)));
      if (nameIndex === 0) parts.push(...text(name));
      parts.push(...text(value));
      if (this.indexes) this.sent.push(id);
    }
    return Buffer.from(parts);
  }
}

function integer(pattern: number, bits: number, value: number): number[] {
  const most = 2 ** bits - 1;
  if (value < most) return [pattern | value];
  const bytes = [pattern | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}

function text(value: string): number[] {
  const bytes = Buffer.from(value, 'latin1');
  return [...integer(0, 7, bytes.length), ...bytes];
}

/** What is read of the headers and trailers of an answer. */
export interface AnswerHeaders {
  readonly httpStatus?: string;
  readonly grpcStatus?: string;
  readonly grpcMessage?: string;
}

interface Known {
  readonly block: Buffer;
  readonly headers: AnswerHeaders;
}

const KNOWN_MAX = 4;

export class HpackDecoder {
  private readonly table: Field[] = [];
  private tableBytes = 0;
  private tableBytesMax = TABLE_BYTES;
  /** Blocks that mean the same as long as the table does not change. */
  private known: Known[] = [];
  private block: Buffer = Buffer.alloc(0);
  private at = 0;

  decode(chunk: Buffer, from: number, to: number): AnswerHeaders {
    for (const { block, headers } of this.known) if (isSame(block, chunk, from, to)) return headers;
    this.block = Buffer.from(chunk.subarray(from, to));
    this.at = 0;
    const headers: { -readonly [Name in keyof AnswerHeaders]: AnswerHeaders[Name] } = {};
    let changes = false;
    while (this.at < this.block.length) {
      const first = this.block[this.at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        this.resize(this.integer(5));
        changes = true;
        continue;
      }
      const [name, value] = this.field(first);
      if ((first & 0xc0) === 0x40) {
        this.add([name, value]);
        changes = true;
      }
      if (name === ':status') headers.httpStatus = value;
      if (name === 'grpc-status') headers.grpcStatus = value;
      if (name === 'grpc-message') headers.grpcMessage = decodeURIComponent(value);
    }
    if (changes) this.known = [];
    else this.known = [...this.known.slice(1 - KNOWN_MAX), { block: this.block, headers }];
    return headers;
  }

  private field(first: number): Field {
    if (first & 0x80) return this.entry(this.integer(7));
    const nameIndex = this.integer(first & 0x40 ? 6 : 4);
    const name = nameIndex === 0 ? this.text() : this.entry(nameIndex)[0];
    return [name, this.text()];
  }

  private entry(index: number): Field {
    const name = STATIC_NAMES[index - 1];
    // Of values in the static table only those of the status are looked at.
    if (name !== undefined) return [name, STATUSES[index - STATIC_STATUS] ?? ''];
    const entry = this.table[this.table.length - 1 - (index - FIRST_DYNAMIC)];
    if (!entry) throw new Error(`a header block names entry ${index}, which is not there`);
    return entry;
  }

  private add(field: Field): void {
    this.table.push(field);
    this.tableBytes += field[0].length + field[1].length + ENTRY_BYTES;
    this.evict();
  }

  private resize(bytesMax: number): void {
    if (bytesMax > TABLE_BYTES)
      throw new Error(`a header table of ${bytesMax} bytes was not agreed`);
    this.tableBytesMax = bytesMax;
    this.evict();
  }

  private evict(): void {
    while (this.tableBytes > this.tableBytesMax) {
      const [name, value] = this.table.shift() ?? ['', ''];
      this.tableBytes -= name.length + value.length + ENTRY_BYTES;
    }
  }

  private integer(bits: number): number {
    const most = 2 ** bits - 1;
    let value = this.byte() & most;
    if (value < most) return value;
    for (let unit = 1; ; unit *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
      if (unit > 2 ** 28) throw new Error('a number in a header block is too large');
    }
  }

  private text(): string {
    const isHuffman = ((this.block[this.at] ?? 0) & 0x80) !== 0;
    const length = this.integer(7);
    const bytes = this.block.subarray(this.at, this.at + length);
    if (bytes.length < length) throw new Error('a header block ends within a text');
    this.at += length;
    return isHuffman ? decodeHuffman(bytes) : bytes.toString('latin1');
  }

  private byte(): number {
    const byte = this.block[this.at++];
    if (byte === undefined) throw new Error('a header block ends within a field');
    return byte;
  }
}

function isSame(block: Buffer, chunk: Buffer, from: number, to: number): boolean {
  if (block.length !== to - from) return false;
  for (let at = 0; at < block.length; at++) if (block[at] !== chunk[from + at]) return false;
  return true;
}
