/**
 * Reads one table of one backup, and believes nothing.
 *
 *   manifest: segments with hashes --> chunks with hashes --> records, keys growing --> end mark
 *
 * In: the manifest's word of a table. Out: records, chunk by chunk, or an error that names the object and
 * the chunk. The last chunk is given only after all of them were counted: whoever got to the end has
 * everything. One chunk is in memory, and the next one on its way.
 */
import { createHash } from 'node:crypto';
import { damaged } from '../backup-error.js';
import { CHUNK_OBJECT_BYTES_MAX, SEGMENT_OBJECT_BYTES_MAX } from '../bounds.js';
import { openChunk } from '../format/chunk-codec.js';
import { ChunkRecords } from '../format/chunk-records.js';
import { type BackupKey, type KeyRing } from '../format/key-ring.js';
import { type Manifest, type ManifestTable, type SegmentRef } from '../format/manifest.js';
import { manifestName } from '../format/names.js';
import { type ChunkEntry, openSegment, type Segment } from '../format/segment.js';
import { type BackupObjects } from '../objects/backup-objects.js';

export interface ReadChunk {
  readonly records: ChunkRecords;
  readonly entry: ChunkEntry;
}

interface NumberedChunk {
  readonly entry: ChunkEntry;
  /** From 1. */
  readonly number: number;
}

export class TableReader {
  readonly table: ManifestTable;
  private readonly key: BackupKey | undefined;
  private readonly backup: string;

  constructor(
    private readonly objects: BackupObjects,
    manifest: Manifest,
    table: ManifestTable,
    keys: KeyRing,
  ) {
    this.table = table;
    this.backup = manifest.id;
    this.key = manifest.keyId === '' ? undefined : keys.get(manifest.keyId);
  }

  /** All records behind a key. Chunks that hold nothing but keys before it are not fetched. */
  async *chunks(
    signal: AbortSignal,
    afterKey?: Buffer,
  ): AsyncGenerator<ReadChunk, void, undefined> {
    let ahead: Promise<ReadChunk> | undefined;
    try {
      for await (const chunk of this.entries(signal)) {
        if (afterKey && Buffer.compare(lastKeyOf(chunk.entry), afterKey) <= 0) continue;
        const due = ahead;
        ahead = this.read(chunk, signal, afterKey);
        // Its failure is told when its turn comes.
        ahead.catch(() => undefined);
        if (due) yield await due;
      }
      if (ahead) yield await ahead;
    } finally {
      // Read ahead for nobody: the reader has ended, or failed before. Nothing is left running.
      await ahead?.catch(() => undefined);
    }
  }

  /** What the segments tell of, counted against the manifest at the end. */
  async *entries(signal: AbortSignal): AsyncGenerator<NumberedChunk, void, undefined> {
    const counted = new EndMark(this.table, manifestName(this.backup));
    const { segments } = this.table;
    let before: Segment | undefined;
    let previous = '';
    for (const [at, ref] of segments.entries()) {
      signal.throwIfAborted();
      const segment = await this.segment(ref, signal);
      const isLast = at === segments.length - 1;
      if (segment.number !== at + 1 || segment.previous !== previous || segment.isLast !== isLast) {
        throw damaged(ref.name, `it is not segment ${at + 1} of ${segments.length}`);
      }
      if (segment.revision !== this.table.revision) {
        throw damaged(ref.name, `it is of revision ${segment.revision}`);
      }
      previous = ref.sha256;
      before = segment;
      for (const entry of segment.chunks) yield { entry, number: counted.add(entry, ref.name) };
    }
    if (!before) throw damaged(manifestName(this.backup), `table ${this.table.name} has no end`);
    counted.end();
  }

  async segment({ name, sha256 }: SegmentRef, signal: AbortSignal): Promise<Segment> {
    const bytes = await this.objects.need(name, SEGMENT_OBJECT_BYTES_MAX, signal);
    const place = { backup: this.backup, table: this.table.tableId };
    return openSegment(bytes, sha256, place, this.key, name);
  }

  async read(
    { entry, number }: NumberedChunk,
    signal: AbortSignal,
    afterKey?: Buffer,
  ): Promise<ReadChunk> {
    const { name, sha256 } = entry;
    const bytes = await this.objects.need(name, CHUNK_OBJECT_BYTES_MAX, signal);
    const place = { backup: this.backup, table: this.table.tableId, part: `chunk ${number}` };
    const plain = await openChunk(bytes, sha256, place, this.key, name);
    const records = new ChunkRecords(plain, entry);
    if (afterKey) records.passOver(afterKey);
    return { records, entry };
  }
}

/** What the manifest says there is, held against what the segments tell of. */
class EndMark {
  private readonly digest = createHash('sha256');
  private chunks = 0;
  private rows = 0;
  private deletedKeys = 0;
  private last: Buffer | undefined;

  constructor(
    private readonly table: ManifestTable,
    private readonly manifest: string,
  ) {}

  /** Number of the chunk. */
  add(entry: ChunkEntry, segment: string): number {
    const first = Buffer.from(entry.firstKey, 'base64');
    if (this.last && Buffer.compare(this.last, first) >= 0) {
      throw damaged(segment, `keys of ${entry.name} do not grow`);
    }
    this.last = lastKeyOf(entry);
    this.digest.update(entry.sha256);
    this.rows += entry.rows;
    this.deletedKeys += entry.deletedKeys;
    this.chunks++;
    return this.chunks;
  }

  end(): void {
    const { chunks, rows, deletedKeys, digest, name } = this.table;
    const isSame = chunks === this.chunks && rows === this.rows && deletedKeys === this.deletedKeys;
    if (isSame && digest === this.digest.digest('hex')) return;
    throw damaged(
      this.manifest,
      `table ${name}: the end mark is of another number of rows or chunks`,
    );
  }
}

function lastKeyOf(entry: ChunkEntry): Buffer {
  return Buffer.from(entry.lastKey, 'base64');
}
