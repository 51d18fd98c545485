/**
 * The rows and deleted keys of one unpacked chunk.
 *
 *   plain bytes --all of them checked--> record, record, record ...
 *
 * In: plain bytes, and what their segment says of them. Out: records one at a time, each made when it is
 * looked at: thousands that live as long as a chunk are what a garbage collector is slowest with. Nothing is
 * given before every record was seen, counted and found in the order of keys.
 */
import { damaged } from '../backup-error.js';
import {
  checkRecord,
  type DeletedRecord,
  HEAD_BYTES,
  keyBytesAt,
  KINDS,
  readRecord,
  type RowRecord,
} from './records.js';
import { type ChunkEntry } from './segment.js';

export class ChunkRecords {
  private at = 0;
  private made: RowRecord | DeletedRecord | undefined;

  /** Throws `BACKUP_DAMAGED` where the chunk holds anything else than the entry says. */
  constructor(
    private readonly plain: Buffer,
    private readonly entry: ChunkEntry,
  ) {
    this.check();
  }

  /** The next one; undefined behind the last. */
  get current(): RowRecord | DeletedRecord | undefined {
    if (this.at >= this.plain.length) return undefined;
    this.made ??= this.make();
    return this.made;
  }

  step(): void {
    this.made = undefined;
    if (this.at < this.plain.length) this.at = this.endAt(this.at);
  }

  /** Goes on with the first one whose key is behind this one. */
  passOver(key: Buffer): void {
    while (this.at < this.plain.length && this.compareKey(this.at, key) <= 0) this.step();
  }

  private make(): RowRecord | DeletedRecord {
    const record = readRecord(this.plain, this.at);
    if (record.kind === 'entry') throw damaged(this.entry.name, 'it holds an entry of a log');
    return record;
  }

  private check(): void {
    const { plain, entry } = this;
    let [rows, deletedKeys, last] = [0, 0, -1];
    for (let at = 0; at < plain.length;) {
      const end = checkRecord(plain, at, entry.name);
      const kind = plain[at];
      if (kind === KINDS.entry) throw damaged(entry.name, 'it holds an entry of a log');
      if (kind === KINDS.row) rows++;
      else deletedKeys++;
      if (last >= 0 && this.compareKeys(last, at) >= 0) {
        throw damaged(entry.name, 'keys do not grow');
      }
      last = at;
      at = end;
    }
    const isSame =
      last >= 0 &&
      rows === entry.rows &&
      deletedKeys === entry.deletedKeys &&
      plain.length === entry.plainBytes &&
      this.compareKey(0, Buffer.from(entry.firstKey, 'base64')) === 0 &&
      this.compareKey(last, Buffer.from(entry.lastKey, 'base64')) === 0;
    if (!isSame) throw damaged(entry.name, 'it holds other rows than its segment says');
  }

  private endAt(at: number): number {
    const { plain } = this;
    return at + HEAD_BYTES + keyBytesAt(plain, at) + plain.readUInt32LE(at + 5);
  }

  private compareKeys(one: number, other: number): number {
    const { plain } = this;
    const [from, otherFrom] = [one + HEAD_BYTES, other + HEAD_BYTES];
    const end = from + keyBytesAt(plain, one);
    return plain.compare(plain, otherFrom, otherFrom + keyBytesAt(plain, other), from, end);
  }

  private compareKey(at: number, key: Buffer): number {
    const { plain } = this;
    const from = at + HEAD_BYTES;
    return plain.compare(key, 0, key.length, from, from + keyBytesAt(plain, at));
  }
}
