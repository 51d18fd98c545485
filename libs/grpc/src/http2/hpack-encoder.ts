/**
 * Writes header blocks (RFC 7541).
 *
 * In: fields. Out: the bytes of a block. A field is put into the dynamic table the first time, and is
 * an index from then on, unless its value is of the kind that differs from call to call.
 *
 * Must never use more of the table than the other end allows, whatever it allowed before: a change of
 * size is said at the front of the next block.
 */
import { HEADER_TABLE_SIZE_DEFAULT } from './constants.js';
import {
  DYNAMIC_FIRST,
  fieldBytes,
  staticFieldIndex,
  staticNameIndex,
} from './hpack-static-table.js';
import { huffmanBytes, huffmanEncode } from './huffman.js';

/** How a field is written. */
export type Indexing = 'keep' | 'pass' | 'never';

/** What is used of a table even if the other end allows more. */
const TABLE_BYTES_MAX = HEADER_TABLE_SIZE_DEFAULT;
const INTEGER_BYTES_MAX = 6;

interface Entry {
  readonly key: string;
  readonly name: string;
  readonly bytes: number;
}

export class HpackEncoder {
  /** Changes with the dynamic table: a block of indexes made before means something else now. */
  version = 0;
  private entries: Entry[] = [];
  /** Fields ever inserted; the newest entry has this number. */
  private inserted = 0;
  private readonly byKey = new Map<string, number>();
  private readonly byName = new Map<string, number>();
  private bytes = 0;
  private sizeMax = HEADER_TABLE_SIZE_DEFAULT;
  /** Smallest size since the last block, and whether anything has to be said of sizes. */
  private sizeLeast = HEADER_TABLE_SIZE_DEFAULT;
  private sizeChanged = false;
  private block = Buffer.allocUnsafeSlow(512);
  private at = 0;

  /** The other end's SETTINGS_HEADER_TABLE_SIZE. */
  allow(size: number): void {
    const used = Math.min(size, TABLE_BYTES_MAX);
    if (used === this.sizeMax) return;
    this.sizeMax = used;
    this.sizeLeast = Math.min(this.sizeLeast, used);
    this.sizeChanged = true;
    this.version++;
    this.evict(used);
  }

  /** Begins a block. */
  begin(): void {
    this.at = 0;
    if (!this.sizeChanged) return;
    // Nobody is to keep a block that says so.
    this.version++;
    this.reserve(2 * INTEGER_BYTES_MAX);
    if (this.sizeLeast < this.sizeMax) this.integer(0x20, 5, this.sizeLeast);
    this.integer(0x20, 5, this.sizeMax);
    this.sizeChanged = false;
    this.sizeLeast = this.sizeMax;
  }

  field(name: string, value: string, indexing: Indexing): void {
    const key = `${name}\0${value}`;
    const index = indexing === 'never' ? 0 : this.indexOf(key);
    this.reserve(2 * INTEGER_BYTES_MAX + INTEGER_BYTES_MAX + name.length + value.length);
    if (index > 0) return this.integer(0x80, 7, index);
    const named = this.nameIndexOf(name);
    if (indexing === 'keep') this.integer(0x40, 6, named);
    else this.integer(indexing === 'never' ? 0x10 : 0, 4, named);
    if (named === 0) this.text(name);
    this.text(value);
    if (indexing === 'keep') this.insert(key, name, fieldBytes(name, value));
  }

  /** The bytes of the block: a view that the next `begin` overwrites. */
  end(): Buffer {
    return this.block.subarray(0, this.at);
  }

  private indexOf(key: string): number {
    const inserted = this.byKey.get(key);
    return inserted === undefined ? staticFieldIndex(key) : this.place(inserted);
  }

  private nameIndexOf(name: string): number {
    const fixed = staticNameIndex(name);
    if (fixed > 0) return fixed;
    const inserted = this.byName.get(name);
    return inserted === undefined ? 0 : this.place(inserted);
  }

  private place(inserted: number): number {
    return DYNAMIC_FIRST + this.inserted - inserted;
  }

  private insert(key: string, name: string, bytes: number): void {
    this.version++;
    this.evict(this.sizeMax - bytes);
    if (bytes > this.sizeMax) return;
    this.inserted++;
    this.entries.push({ key, name, bytes });
    this.byKey.set(key, this.inserted);
    this.byName.set(name, this.inserted);
    this.bytes += bytes;
  }

  private evict(size: number): void {
    while (this.bytes > size) {
      const oldest = this.entries.shift();
      if (!oldest) return;
      const number = this.inserted - this.entries.length;
      if (this.byKey.get(oldest.key) === number) this.byKey.delete(oldest.key);
      if (this.byName.get(oldest.name) === number) this.byName.delete(oldest.name);
      this.bytes -= oldest.bytes;
    }
  }

  private reserve(bytes: number): void {
    if (this.at + bytes <= this.block.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.block.length * 2, this.at + bytes));
    this.block.copy(larger, 0, 0, this.at);
    this.block = larger;
  }

  private integer(pattern: number, prefixBits: number, value: number): void {
    const mask = (1 << prefixBits) - 1;
    if (value < mask) {
      this.block[this.at++] = pattern | value;
      return;
    }
    this.block[this.at++] = pattern | mask;
    let rest = value - mask;
    while (rest >= 0x80) {
      this.block[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.block[this.at++] = rest;
  }

  private text(text: string): void {
    const packed = huffmanBytes(text);
    if (packed < text.length) {
      this.integer(0x80, 7, packed);
      this.at = huffmanEncode(text, this.block, this.at);
    } else {
      this.integer(0, 7, text.length);
      this.at += this.block.write(text, this.at, 'latin1');
    }
  }
}
