/**
 * Reads header blocks (RFC 7541).
 *
 * In: whole blocks, in the order in which they came on a connection. Out: fields, one by one, to a
 * sink; `version` changes whenever the dynamic table did, so that whoever remembers what a block of
 * mere indexes meant knows when that is over.
 *
 * Must never keep more than the table size that was announced, nor go on after an error: the two ends
 * of a connection would no longer have the same table.
 */
import { ErrorCode, HEADER_TABLE_SIZE_DEFAULT, Http2Error } from './constants.js';
import { DYNAMIC_FIRST, fieldBytes, type HeaderField, STATIC_TABLE } from './hpack-static-table.js';
import { decodedBytesMax, huffmanDecode } from './huffman.js';

export interface FieldSink {
  field(name: string, value: string): void;
}

const INDEXED = 0x80;
const INCREMENTAL = 0x40;
const SIZE_UPDATE = 0x20;
/** Integers of header blocks are lengths and indexes: nothing sensible is larger. */
const INTEGER_MAX = 2 ** 28;

export class HpackDecoder {
  /** Changes with the dynamic table. */
  version = 0;
  /** Whether the last block was made of indexes alone. */
  onlyIndexed = false;
  /** Newest last; the first `dropped` slots of the array are no longer in use. */
  private entries: HeaderField[] = [];
  private dropped = 0;
  private bytes = 0;
  private sizeMax: number;
  private at = 0;
  private scratch = Buffer.allocUnsafeSlow(256);

  /** `announcedSizeMax` is the SETTINGS_HEADER_TABLE_SIZE of this end. */
  constructor(private readonly announcedSizeMax = HEADER_TABLE_SIZE_DEFAULT) {
    this.sizeMax = announcedSizeMax;
  }

  get tableBytes(): number {
    return this.bytes;
  }

  /** Decodes `block[from..to)`. Throws Http2Error COMPRESSION_ERROR. */
  decode(block: Buffer, from: number, to: number, sink: FieldSink): void {
    this.at = from;
    this.onlyIndexed = true;
    let fields = 0;
    while (this.at < to) {
      const first = block[this.at] ?? 0;
      if ((first & INDEXED) !== 0) {
        const { name, value } = this.entry(this.integer(block, to, 7));
        sink.field(name, value);
        fields++;
        continue;
      }
      this.onlyIndexed = false;
      if ((first & INCREMENTAL) !== 0) {
        this.literal(block, to, 6, sink, true);
        fields++;
      } else if ((first & SIZE_UPDATE) !== 0) {
        if (fields > 0) throw corrupt('the table size changes in the middle of a header block');
        this.resize(this.integer(block, to, 5));
      } else {
        this.literal(block, to, 4, sink, false);
        fields++;
      }
    }
  }

  private literal(
    block: Buffer,
    to: number,
    prefixBits: number,
    sink: FieldSink,
    isKept: boolean,
  ): void {
    const index = this.integer(block, to, prefixBits);
    const name = index === 0 ? this.text(block, to) : this.entry(index).name;
    const value = this.text(block, to);
    if (isKept) this.insert(name, value);
    sink.field(name, value);
  }

  private entry(index: number): HeaderField {
    const field =
      index < DYNAMIC_FIRST
        ? STATIC_TABLE[index]
        : index - DYNAMIC_FIRST < this.entries.length - this.dropped
          ? this.entries[this.entries.length - 1 - (index - DYNAMIC_FIRST)]
          : undefined;
    if (field === undefined || index === 0) throw corrupt(`there is no header field ${index}`);
    return field;
  }

  private insert(name: string, value: string): void {
    this.version++;
    const bytes = fieldBytes(name, value);
    this.evict(this.sizeMax - bytes);
    if (bytes > this.sizeMax) return;
    this.entries.push({ name, value });
    this.bytes += bytes;
  }

  private resize(size: number): void {
    if (size > this.announcedSizeMax) {
      throw corrupt(`a table of ${size} bytes is larger than was announced`);
    }
    this.version++;
    this.sizeMax = size;
    this.evict(size);
  }

  /** Drops the oldest entries until the table is as small as that; a negative size empties it. */
  private evict(size: number): void {
    while (this.bytes > size && this.dropped < this.entries.length) {
      const oldest = this.entries[this.dropped++];
      if (oldest) this.bytes -= fieldBytes(oldest.name, oldest.value);
    }
    // Slots that are not in use are given back in portions.
    if (this.dropped > this.entries.length / 2) {
      this.entries = this.entries.slice(this.dropped);
      this.dropped = 0;
    }
  }

  private integer(block: Buffer, to: number, prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    if (this.at >= to) throw corrupt('a header block ends early');
    let value = (block[this.at++] ?? 0) & mask;
    if (value < mask) return value;
    for (let shift = 1; ; shift *= 128) {
      if (this.at >= to) throw corrupt('a header block ends early');
      const byte = block[this.at++] ?? 0;
      value += (byte & 0x7f) * shift;
      if (value > INTEGER_MAX || shift > INTEGER_MAX) throw corrupt('an integer is too large');
      if (byte < 0x80) return value;
    }
  }

  private text(block: Buffer, to: number): string {
    const isHuffman = ((block[this.at] ?? 0) & 0x80) !== 0;
    const length = this.integer(block, to, 7);
    const start = this.at;
    const end = start + length;
    if (end > to) throw corrupt('a string is longer than its header block');
    this.at = end;
    if (!isHuffman) return block.toString('latin1', start, end);
    const room = decodedBytesMax(length);
    if (this.scratch.length < room) this.scratch = Buffer.allocUnsafeSlow(room * 2);
    return this.scratch.toString('latin1', 0, huffmanDecode(block, start, end, this.scratch));
  }
}

function corrupt(message: string): Http2Error {
  return new Http2Error(ErrorCode.CompressionError, message);
}
