/**
 * Writes one table of a backup: records in, chunks and index segments out.
 *
 *   records --> chunk (packed, encrypted, hashed) --> put --> entry of a segment --> put, 64 entries each
 *
 * One chunk is on its way while the next one fills: two of them are in memory, never more. Records come
 * in the order of their keys, each once; the writer refuses others, because a backup that mixes two
 * streams must never be finished.
 */
import { createHash } from 'node:crypto';
import { BackupError } from '../backup-error.js';
import { SEGMENT_CHUNKS_MAX, SEGMENTS_MAX } from '../bounds.js';
import { type BuiltChunk, ChunkBuilder } from '../format/chunk-builder.js';
import { sealChunk } from '../format/chunk-codec.js';
import { type BackupKey } from '../format/key-ring.js';
import { type ManifestTable, type SegmentRef } from '../format/manifest.js';
import { chunkName, segmentName } from '../format/names.js';
import { type DeletedRecord, type RowRecord } from '../format/records.js';
import { type ChunkEntry, sealSegment, type Segment } from '../format/segment.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type SourcePosition, type SourceTable } from '../ports.js';
import { type WrittenSegment } from './table-progress.js';

export type TableRecord = RowRecord | DeletedRecord;

export interface WriterPlace {
  readonly backup: string;
  readonly attempt: string;
  readonly table: SourceTable;
  readonly key: BackupKey | undefined;
  readonly chunkBytes: number;
}

/** What the rows are of; the same for all attempts that go on with each other. */
export interface WriterBasis extends Pick<SourcePosition, 'revision' | 'appliedIndex'> {
  readonly sinceRevision: number;
  readonly wholeBecause: string;
}

export interface Written {
  readonly rows: number;
  readonly deletedKeys: number;
  readonly plainBytes: number;
  readonly storedBytes: number;
  readonly chunks: number;
}

const NOTHING: Written = { rows: 0, deletedKeys: 0, plainBytes: 0, storedBytes: 0, chunks: 0 };

export class TableWriter {
  private readonly digest = createHash('sha256');
  private readonly segments: SegmentRef[] = [];
  private entries: ChunkEntry[] = [];
  private readonly chunk: ChunkBuilder;
  private underway: Promise<ChunkEntry> | undefined;
  private totals: Written = NOTHING;
  private last: Buffer | undefined;
  private complete = false;

  constructor(
    private readonly objects: BackupObjects,
    private readonly place: WriterPlace,
    readonly basis: WriterBasis,
    private readonly signal: AbortSignal,
    progress: readonly WrittenSegment[] = [],
  ) {
    this.chunk = new ChunkBuilder(place.chunkBytes);
    for (const { name, sha256, segment } of progress) {
      this.segments.push({ name, sha256 });
      for (const entry of segment.chunks) this.count(entry);
      this.complete = segment.isLast;
    }
  }

  /** Key of the last record that was taken. */
  get lastKey(): Buffer | undefined {
    return this.last;
  }

  /** Nothing more is to come: an earlier attempt has written it all. */
  get isComplete(): boolean {
    return this.complete;
  }

  get written(): Written {
    return this.totals;
  }

  /** A promise if there is something to wait for before the next one. */
  add(record: TableRecord): Promise<void> | undefined {
    if (this.last && Buffer.compare(this.last, record.key) >= 0) {
      throw new BackupError(
        'SOURCE_CUT',
        `rows of table ${this.place.table.name} are out of order`,
      );
    }
    this.last = record.key;
    this.chunk.add(record);
    return this.chunk.bytes >= this.place.chunkBytes ? this.closeChunk() : undefined;
  }

  /** Writes what is left. What it returns goes into the manifest. */
  async finish(): Promise<ManifestTable> {
    if (!this.complete) {
      if (!this.chunk.isEmpty) await this.closeChunk();
      await this.settle();
      await this.closeSegment(true);
      this.complete = true;
    }
    const { name, tableId, epoch } = this.place.table;
    const { revision, appliedIndex, sinceRevision, wholeBecause } = this.basis;
    return {
      name,
      tableId,
      epoch,
      revision,
      index: appliedIndex,
      sinceRevision,
      wholeBecause,
      ...this.totals,
      digest: this.digest.copy().digest('hex'),
      segments: this.segments,
    };
  }

  /** Waits for what is on its way, whatever becomes of it: nothing is written after this. */
  async abandon(): Promise<void> {
    const { underway } = this;
    this.underway = undefined;
    await underway?.catch(() => undefined);
  }

  private async closeChunk(): Promise<void> {
    await this.settle();
    this.underway = this.putChunk(this.chunk.take(), this.totals.chunks + 1);
    // Its failure is told by whoever waits for it next.
    this.underway.catch(() => undefined);
  }

  private async settle(): Promise<void> {
    const { underway } = this;
    if (!underway) return;
    const entry = await underway;
    this.underway = undefined;
    this.entries.push(entry);
    this.count(entry);
    if (this.entries.length >= SEGMENT_CHUNKS_MAX) await this.closeSegment(false);
  }

  private count(entry: ChunkEntry): void {
    this.digest.update(entry.sha256);
    const { rows, deletedKeys, plainBytes, storedBytes, chunks } = this.totals;
    this.totals = {
      rows: rows + entry.rows,
      deletedKeys: deletedKeys + entry.deletedKeys,
      plainBytes: plainBytes + entry.plainBytes,
      storedBytes: storedBytes + entry.storedBytes,
      chunks: chunks + 1,
    };
    this.last ??= Buffer.alloc(0);
    const lastKey = Buffer.from(entry.lastKey, 'base64');
    if (Buffer.compare(this.last, lastKey) < 0) this.last = lastKey;
  }

  private async putChunk(built: BuiltChunk, chunk: number): Promise<ChunkEntry> {
    const { backup, attempt, table, key } = this.place;
    const { plain, rows, deletedKeys, firstKey, lastKey } = built;
    const plainBytes = plain.length;
    const part = `chunk ${chunk}`;
    const { bytes, sha256 } = await sealChunk(plain, { backup, table: table.tableId, part }, key);
    this.chunk.giveBack(built);
    const name = chunkName(backup, table.tableId, attempt, chunk);
    await this.objects.write(name, bytes, undefined, this.signal);
    const storedBytes = bytes.length;
    return { name, sha256, storedBytes, plainBytes, rows, deletedKeys, firstKey, lastKey };
  }

  private async closeSegment(isLast: boolean): Promise<void> {
    const number = this.segments.length + 1;
    if (number > SEGMENTS_MAX) {
      throw new BackupError('LIMIT', `table ${this.place.table.name} is too large for a backup`);
    }
    const { backup, attempt, table, key } = this.place;
    const { revision, appliedIndex, sinceRevision, wholeBecause } = this.basis;
    const segment: Segment = {
      number,
      previous: this.segments.at(-1)?.sha256 ?? '',
      epoch: table.epoch,
      revision,
      index: appliedIndex,
      sinceRevision,
      wholeBecause,
      isLast,
      chunks: this.entries,
    };
    const sealed = await sealSegment(segment, { backup, table: table.tableId }, key);
    const name = segmentName(backup, table.tableId, attempt, number);
    await this.objects.write(name, sealed.bytes, undefined, this.signal);
    this.segments.push({ name, sha256: sealed.sha256 });
    this.entries = [];
  }
}
