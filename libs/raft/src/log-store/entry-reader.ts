/**
 * Positions in, entries out: from the cached tail of the log where possible, else from the files.
 *
 * What comes from a file is checked against its own checksum and against what the table says; a
 * mismatch is damage and is thrown, never returned. Payloads are views into memory that is never
 * written again; a view keeps its whole block alive, so whoever keeps a payload for long copies it.
 */
import type { Entry, LogIndex } from '../core/types.js';
import { EntryTable, type SegmentUse } from './entry-table.js';
import { LogStoreError } from './errors.js';
import { viewOf } from './format.js';
import type { EntryReader } from './group-state.js';
import { entryRecordBytes, getRecordHeader, isRecordIntact, RecordKind } from './records.js';
import type { Segments } from './segments.js';
import type { TailBlock, TailCache } from './tail-cache.js';
import type { GroupId } from './types.js';

/** Records of other groups between two wanted ones are read along up to this size. */
const READ_GAP_BYTES_MAX = 16 * 1024;
/** One read takes no more than this, unless a single record is larger. */
const READ_SPAN_BYTES_MAX = 4 * 1024 * 1024;
/** A table that only says where entries lie, and counts for nobody. */
const NO_USE: SegmentUse = { addLive: () => undefined, markTruncated: () => undefined };

interface Source {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Entries that lie close to each other, from the first one to the one before `next`. */
interface Run {
  readonly segment: number;
  readonly start: number;
  readonly bytes: number;
  readonly payloadBytes: number;
  readonly next: LogIndex;
}

export class EntryReaderFromLog implements EntryReader {
  constructor(
    private readonly cache: TailCache,
    private readonly segments: Segments,
  ) {}

  read(group: GroupId, table: EntryTable, lo: LogIndex, hi: LogIndex): readonly Entry[] {
    const entries: Entry[] = [];
    let block: TailBlock | undefined;
    for (let index = lo; index < hi;) {
      const segment = table.segmentOf(index);
      const offset = table.offsetOf(index);
      if (!holds(block, segment, offset)) block = this.cache.find(segment, offset);
      if (block === undefined) {
        index = this.readRun(group, table, index, hi, entries);
      } else {
        const at = offset - block.fileOffset;
        entries.push(this.decode(group, table, index, block, at, false));
        index++;
      }
    }
    return entries;
  }

  /**
   * The same without holding the calling thread while a disk works. Rejects with LogStoreError when
   * what it reads is dropped from the log in between.
   */
  async readLater(
    group: GroupId,
    table: EntryTable,
    lo: LogIndex,
    hi: LogIndex,
  ): Promise<readonly Entry[]> {
    const places = placesOf(table, lo, hi);
    const entries: Entry[] = [];
    for (let index = lo; index < hi;) {
      const offset = places.offsetOf(index);
      const block = this.cache.find(places.segmentOf(index), offset);
      if (block !== undefined) {
        const at = offset - block.fileOffset;
        entries.push(this.decode(group, places, index, block, at, false));
        index++;
        continue;
      }
      const run = this.runFrom(places, index, hi);
      const bytes = new Uint8Array(run.bytes);
      await this.segments.readLater(run.segment, bytes, run.start);
      this.takeRun(group, places, index, run, bytes, entries);
      index = run.next;
    }
    return entries;
  }

  /** Reads entries that lie close to each other with one read; returns the index after them. */
  private readRun(
    group: GroupId,
    table: EntryTable,
    first: LogIndex,
    hi: LogIndex,
    entries: Entry[],
  ): LogIndex {
    const run = this.runFrom(table, first, hi);
    const bytes = new Uint8Array(run.bytes);
    this.segments.read(run.segment, bytes, run.start);
    this.takeRun(group, table, first, run, bytes, entries);
    return run.next;
  }

  private runFrom(table: EntryTable, first: LogIndex, hi: LogIndex): Run {
    const segment = table.segmentOf(first);
    const start = table.offsetOf(first);
    let end = start + entryRecordBytes(table.payloadBytesOf(first));
    let payloadBytes = table.payloadBytesOf(first);
    let next = first + 1;
    for (; next < hi && table.segmentOf(next) === segment; next++) {
      const offset = table.offsetOf(next);
      const recordEnd = offset + entryRecordBytes(table.payloadBytesOf(next));
      if (offset < end || offset - end > READ_GAP_BYTES_MAX) break;
      if (recordEnd - start > READ_SPAN_BYTES_MAX) break;
      if (this.cache.find(segment, offset) !== undefined) break;
      end = recordEnd;
      payloadBytes += table.payloadBytesOf(next);
    }
    return { segment, start, bytes: end - start, payloadBytes, next };
  }

  private takeRun(
    group: GroupId,
    table: EntryTable,
    first: LogIndex,
    run: Run,
    bytes: Uint8Array,
    entries: Entry[],
  ): void {
    const source = { bytes, view: viewOf(bytes) };
    // Views into a buffer that is mostly other groups' records would keep all of it alive.
    const copyPayload = run.payloadBytes * 2 < bytes.length;
    for (let index = first; index < run.next; index++) {
      const at = table.offsetOf(index) - run.start;
      const entry = this.decode(group, table, index, source, at, true);
      entries.push(copyPayload ? { ...entry, data: entry.data.slice() } : entry);
    }
  }

  private decode(
    group: GroupId,
    table: EntryTable,
    index: LogIndex,
    source: Source,
    at: number,
    verify: boolean,
  ): Entry {
    const end = at + entryRecordBytes(table.payloadBytesOf(index));
    const { bytes, view } = source;
    const header = getRecordHeader(view, at, end);
    const matches =
      header !== undefined &&
      (!verify || isRecordIntact(bytes, view, at, end)) &&
      header.kind === RecordKind.Entry &&
      header.payloadEnd === end &&
      header.group === group &&
      header.index === index &&
      header.term === table.termOf(index);
    if (!matches) {
      const file = this.segments.path(table.segmentOf(index));
      throw new LogStoreError(
        'corrupt',
        `entry ${index} of group ${group} in ${file} at byte ${table.offsetOf(index)} is damaged: ` +
          'replace the disk or the replica; the other replicas have this entry',
      );
    }
    const start = bytes.byteOffset + header.payloadStart;
    const data = new Uint8Array(bytes.buffer, start, end - header.payloadStart);
    return { term: header.term, index, type: header.type, data };
  }
}

function holds(block: TailBlock | undefined, segment: number, offset: number): boolean {
  return (
    block !== undefined &&
    block.segment === segment &&
    offset >= block.fileOffset &&
    offset < block.fileEnd
  );
}

/** Where entries lie now; stays as it is when the table goes on. */
function placesOf(table: EntryTable, lo: LogIndex, hi: LogIndex): EntryTable {
  const places = new EntryTable(NO_USE);
  places.reset(lo);
  for (let index = lo; index < hi; index++) {
    const offset = table.offsetOf(index);
    const payloadBytes = table.payloadBytesOf(index);
    places.append(table.termOf(index), table.segmentOf(index), offset, payloadBytes);
  }
  return places;
}
