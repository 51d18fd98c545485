/**
 * The plain bytes of a chunk in the making.
 *
 *   records --written at once--> buffer --take--> plain bytes, and what its entry tells of them
 *
 * In: records in the order of their keys. Out: a chunk. Nothing of a record is kept but its bytes: rows
 * by the thousand that live as long as a chunk are what a garbage collector is slowest with. Buffers
 * that are given back are written over by the next chunk, so no chunk may be read after that.
 */
import { type DeletedRecord, recordBytes, type RowRecord, writeRecord } from './records.js';

/** Of the first buffer: a small table needs no more. And the room for records that cross the line. */
const BUFFER_BYTES_MIN = 64 * 1024;
/** Buffers that wait for the next chunk. */
const SPARE_BUFFERS_MAX = 1;

export interface BuiltChunk {
  readonly plain: Buffer;
  readonly rows: number;
  readonly deletedKeys: number;
  /** Base64; empty where there is no record. */
  readonly firstKey: string;
  readonly lastKey: string;
}

export class ChunkBuilder {
  private buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES_MIN);
  private readonly spare: Buffer[] = [];
  private at = 0;
  private rows = 0;
  private records = 0;
  private first: Buffer | undefined;
  private last: Buffer | undefined;

  /** `chunkBytes` after which a chunk is closed; the record that crosses the line is still in it. */
  constructor(private readonly chunkBytes: number) {}

  get bytes(): number {
    return this.at;
  }

  get isEmpty(): boolean {
    return this.records === 0;
  }

  add(record: RowRecord | DeletedRecord): void {
    this.reserve(this.at + recordBytes(record));
    this.at = writeRecord(this.buffer, this.at, record);
    this.records++;
    if (record.kind === 'row') this.rows++;
    this.first ??= record.key;
    this.last = record.key;
  }

  /** What was added so far; the next record is the first of another chunk. */
  take(): BuiltChunk {
    const { buffer, at, rows, records, first, last } = this;
    this.buffer = this.spare.pop() ?? Buffer.allocUnsafeSlow(buffer.length);
    this.at = this.rows = this.records = 0;
    this.first = this.last = undefined;
    return {
      plain: buffer.subarray(0, at),
      rows,
      deletedKeys: records - rows,
      firstKey: first?.toString('base64') ?? '',
      lastKey: last?.toString('base64') ?? '',
    };
  }

  /** The chunk is not read any more. */
  giveBack({ plain }: BuiltChunk): void {
    if (this.spare.length >= SPARE_BUFFERS_MAX) return;
    this.spare.push(Buffer.from(plain.buffer));
  }

  private reserve(bytes: number): void {
    if (bytes <= this.buffer.length) return;
    const usual = Math.min(2 * this.buffer.length, this.chunkBytes + BUFFER_BYTES_MIN);
    const larger = Buffer.allocUnsafeSlow(Math.max(bytes, usual));
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }
}
