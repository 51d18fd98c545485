/**
 * One piece of a cache's memory, filled from its start to its end and never used twice.
 *
 * In: versions, one behind the other. Out: versions whose value is a view of the piece. Because a piece
 * is given up as a whole and its bytes are never written again, such a view stays what it is for as
 * long as somebody holds it.
 *
 *   entry   [hash][next][owner][marks][key bytes][value bytes][5 numbers][key][value], 8-aligned
 */
import { Version } from '../table/row-codec.js';

export const ENTRY_HEADER_BYTES = 64;
/** Entries begin at multiples of it, and addresses count in it. */
export const UNIT_BYTES = 8;

const WORDS_PER_UNIT = 2;
/** 32-bit words of an entry's header. */
const HASH = 0;
const NEXT = 1;
const OWNER = 2;
const MARKS = 3;
const KEY_BYTES = 4;
const VALUE_BYTES = 5;
/** 64-bit words of an entry's header. */
const CREATE_REVISION = 3;
const MOD_REVISION = 4;
const VERSION = 5;
const LEASE = 6;
const EPOCH = 7;

/** Marks of an entry: how often it was asked for lately, up to three times, ... */
export const USES = 0b11;
/** ... that it stands for a key that does not exist, ... */
export const ABSENT_KEY = 0b100;
/** ... that it was replaced or dropped, ... */
export const DEAD = 0b1000;
/** ... and that it lies among those that have proved themselves. */
export const PROVEN = 0b10000;

export function entryBytes(keyBytes: number, valueBytes: number): number {
  const bytes = ENTRY_HEADER_BYTES + keyBytes + valueBytes;
  return Math.ceil(bytes / UNIT_BYTES) * UNIT_BYTES;
}

export interface NewEntry {
  readonly hash: number;
  readonly owner: number;
  readonly marks: number;
  readonly key: Uint8Array;
  /** Undefined: the key does not exist. */
  readonly row: Version | undefined;
}

/** Positions are in units. */
export class Segment {
  usedBytes = 0;
  readonly bytes: Buffer;
  private readonly words: Int32Array;
  private readonly numbers: Float64Array;

  constructor(
    /** Its place among all. */
    readonly place: number,
    sizeBytes: number,
  ) {
    const memory = new ArrayBuffer(sizeBytes);
    this.bytes = Buffer.from(memory);
    this.words = new Int32Array(memory);
    this.numbers = new Float64Array(memory);
  }

  hasRoomFor(bytes: number): boolean {
    return this.usedBytes + bytes <= this.bytes.length;
  }

  /** Returns where the entry lies. The caller has looked that there is room. */
  add(entry: NewEntry, bytes: number): number {
    const { key, row } = entry;
    const unit = this.take(bytes);
    const word = unit * WORDS_PER_UNIT;
    const start = unit * UNIT_BYTES + ENTRY_HEADER_BYTES;
    this.words[word + HASH] = entry.hash;
    this.words[word + OWNER] = entry.owner;
    this.words[word + MARKS] = entry.marks | (row === undefined ? ABSENT_KEY : 0);
    this.words[word + KEY_BYTES] = key.length;
    this.bytes.set(key, start);
    if (row === undefined) return unit;
    this.words[word + VALUE_BYTES] = row.value.length;
    this.numbers[unit + CREATE_REVISION] = row.createRevision;
    this.numbers[unit + MOD_REVISION] = row.modRevision;
    this.numbers[unit + VERSION] = row.version;
    this.numbers[unit + LEASE] = row.lease;
    this.numbers[unit + EPOCH] = row.epoch;
    this.bytes.set(row.value, start + key.length);
    return unit;
  }

  /** Takes over an entry of another segment as it is. */
  adopt(from: Segment, unit: number, bytes: number): number {
    const start = unit * UNIT_BYTES;
    const target = this.take(bytes);
    this.bytes.set(from.bytes.subarray(start, start + bytes), target * UNIT_BYTES);
    return target;
  }

  /** The version of an entry that is not of an absent key; `key` is the one it was found by. */
  version(unit: number, key: Uint8Array): Version {
    const word = unit * WORDS_PER_UNIT;
    const keyStart = unit * UNIT_BYTES + ENTRY_HEADER_BYTES;
    const valueStart = keyStart + key.length;
    const valueEnd = valueStart + this.word(word + VALUE_BYTES);
    return new Version(
      Buffer.isBuffer(key) ? key : this.bytes.subarray(keyStart, valueStart),
      this.bytes.subarray(valueStart, valueEnd),
      this.number(unit + CREATE_REVISION),
      this.number(unit + MOD_REVISION),
      this.number(unit + VERSION),
      this.number(unit + LEASE),
      this.number(unit + EPOCH),
    );
  }

  isOf(unit: number, hash: number, owner: number, key: Uint8Array): boolean {
    const word = unit * WORDS_PER_UNIT;
    if (this.words[word + HASH] !== hash || this.words[word + OWNER] !== owner) return false;
    const keyBytes = key.length;
    if (this.words[word + KEY_BYTES] !== keyBytes) return false;
    const { bytes } = this;
    const start = unit * UNIT_BYTES + ENTRY_HEADER_BYTES;
    for (let at = 0; at < keyBytes; at++) if (bytes[start + at] !== key[at]) return false;
    return true;
  }

  hash(unit: number): number {
    return this.word(unit * WORDS_PER_UNIT + HASH);
  }

  owner(unit: number): number {
    return this.word(unit * WORDS_PER_UNIT + OWNER);
  }

  next(unit: number): number {
    return this.word(unit * WORDS_PER_UNIT + NEXT);
  }

  setNext(unit: number, address: number): void {
    this.words[unit * WORDS_PER_UNIT + NEXT] = address;
  }

  marks(unit: number): number {
    return this.word(unit * WORDS_PER_UNIT + MARKS);
  }

  setMarks(unit: number, marks: number): void {
    this.words[unit * WORDS_PER_UNIT + MARKS] = marks;
  }

  entryBytesAt(unit: number): number {
    const word = unit * WORDS_PER_UNIT;
    return entryBytes(this.word(word + KEY_BYTES), this.word(word + VALUE_BYTES));
  }

  private take(bytes: number): number {
    const unit = this.usedBytes / UNIT_BYTES;
    this.usedBytes += bytes;
    return unit;
  }

  private word(at: number): number {
    return this.words[at] ?? 0;
  }

  private number(at: number): number {
    return this.numbers[at] ?? 0;
  }
}
