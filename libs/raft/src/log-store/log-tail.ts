/**
 * The growing end of the log: gives every change its place, encodes it there, and makes it visible.
 *
 * In: the operations of a batch. Out: sealed frames, in order, for the writer. Batches that arrive
 * while a frame is being written gather in the next one. When a frame does not fit into the segment
 * any more, the log moves on to a new segment, whose first frame begins with the state of every
 * group, so that an older segment is needed for its entries alone.
 *
 *     written | in flight | sealed, waiting ... | open frame, gathering
 */
import type { Entry, LogEnd } from '../core/types.js';
import type { LogOperation } from './batch.js';
import { LogStoreError } from './errors.js';
import {
  FRAME_END_BYTES,
  FRAME_HEADER_BYTES,
  SEGMENT_BYTES_LIMIT,
  SEGMENT_HEADER_BYTES,
  sealFrame,
} from './format.js';
import type { GroupDirectory } from './group-directory.js';
import type { GroupState } from './group-state.js';
import {
  encodeConfState,
  encodeNumbers,
  entryRecordBytes,
  groupStateRecordBytes,
  HARD_STATE_RECORD_BYTES,
  NO_PAYLOAD,
  type PlainRecord,
  putEntryRecord,
  putGroupStateRecord,
  putHardStateRecord,
  putPlainRecord,
  RECORD_HEADER_BYTES,
  RecordKind,
} from './records.js';
import type { Segments } from './segments.js';
import type { LogPosition, TailBlock, TailCache } from './tail-cache.js';
import type { GroupId } from './types.js';

export interface FrameWaiter {
  resolve(): void;
  reject(error: Error): void;
}

/** Sealed bytes on their way to the disk. */
export interface Frame {
  readonly segment: number;
  /** Where the frame begins in the segment file. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** What its batches said they add; goes into the account of what is pending. */
  readonly batchBytes: number;
  readonly waiters: FrameWaiter[];
}

interface OpenFrame {
  readonly segment: number;
  readonly offset: number;
  block: TailBlock;
  batchBytes: number;
  /** Somebody waits for it, so it has to be written soon. */
  isWanted: boolean;
  readonly waiters: FrameWaiter[];
}

export interface LogTailStart {
  readonly position: LogPosition;
  readonly nextSequence: number;
}

export class LogTail {
  private position: LogPosition;
  private nextSequence: number;
  private open: OpenFrame | undefined;
  private sealed: Frame[] = [];

  constructor(
    private readonly segments: Segments,
    private readonly groups: GroupDirectory,
    private readonly cache: TailCache,
    private readonly segmentBytesMax: number,
    start: LogTailStart,
  ) {
    this.position = start.position;
    this.nextSequence = start.nextSequence;
  }

  /** Bytes of the frame that is gathering. */
  get gatheredBytes(): number {
    return this.open === undefined ? 0 : this.open.block.fileEnd - this.open.offset;
  }

  /** Takes the operations in; they are readable when this returns. */
  add(operations: readonly LogOperation[], bytes: number, isWanted: boolean): void {
    const frame = this.frameFor(bytes);
    frame.isWanted ||= isWanted;
    frame.batchBytes += bytes;
    for (const operation of operations) this.apply(frame, operation);
  }

  /** Says that these segments are no longer in use. */
  addSegmentDrop(sequences: readonly number[]): void {
    const payload = encodeNumbers(sequences);
    const frame = this.frameFor(RECORD_HEADER_BYTES + payload.length);
    frame.isWanted = true;
    this.putPlain(frame, { kind: RecordKind.DropSegments, group: 0, index: 0, term: 0, payload });
  }

  /** Joins those who wait for the newest frame; false if there is none to wait for. */
  wait(waiter: FrameWaiter): boolean {
    const newest = this.open ?? this.sealed.at(-1);
    if (newest === undefined) return false;
    if (newest === this.open) this.open.isWanted = true;
    newest.waiters.push(waiter);
    return true;
  }

  /** Makes the gathering frame due, if there is one. */
  want(): void {
    if (this.open !== undefined) this.open.isWanted = true;
  }

  /** The next frame to write: what waits sealed, then what gathers, if anybody wants it. */
  takeFrame(): Frame | undefined {
    const waiting = this.sealed.shift();
    if (waiting !== undefined) return waiting;
    return this.open?.isWanted === true ? this.seal(this.open) : undefined;
  }

  /** Everybody who waits for a frame that was not taken yet; they wait no longer. */
  takeWaiters(): FrameWaiter[] {
    const waiters = this.sealed.flatMap((frame) => frame.waiters);
    if (this.open !== undefined) waiters.push(...this.open.waiters);
    this.sealed = [];
    this.open = undefined;
    return waiters;
  }

  private seal(frame: OpenFrame): Frame {
    const { block } = frame;
    const start = frame.offset - block.fileOffset;
    const recordBytes = block.used - start - FRAME_HEADER_BYTES;
    const { segment, offset } = frame;
    const sequence = this.nextSequence++;
    sealFrame(block.bytes, block.view, start, { sequence, segment, offset, recordBytes });
    block.used += FRAME_END_BYTES;
    this.position = { segment, offset: block.fileEnd };
    this.open = undefined;
    const { batchBytes, waiters } = frame;
    return { segment, offset, bytes: block.bytes, start, end: block.used, batchBytes, waiters };
  }

  /** The frame to put `bytes` of records into, with room for them. */
  private frameFor(bytes: number): OpenFrame {
    const room = bytes + FRAME_END_BYTES;
    if (this.open !== undefined) {
      if (this.open.block.fileEnd + room <= this.segmentBytesMax) return this.withRoom(room);
      this.sealed.push(this.seal(this.open));
    }
    const { offset } = this.position;
    const isFresh = offset === SEGMENT_HEADER_BYTES;
    if (!isFresh && offset + FRAME_HEADER_BYTES + room > this.segmentBytesMax) {
      const segment = this.position.segment + 1;
      this.segments.add(segment, 0);
      this.position = { segment, offset: SEGMENT_HEADER_BYTES };
    }
    return this.openFrame(room);
  }

  private openFrame(room: number): OpenFrame {
    const needsState = this.position.offset === SEGMENT_HEADER_BYTES;
    const stateBytes = needsState ? this.storeStateBytes() : 0;
    const total = FRAME_HEADER_BYTES + stateBytes + room;
    if (this.position.offset + total > SEGMENT_BYTES_LIMIT) {
      throw new LogStoreError('invalid', `a batch of ${room} bytes is too large for a segment`);
    }
    const block = this.cache.blockAt(this.position, total);
    block.used += FRAME_HEADER_BYTES;
    const { segment, offset } = this.position;
    const frame = { segment, offset, block, batchBytes: 0, isWanted: false, waiters: [] };
    this.open = frame;
    if (needsState) this.putStoreState(frame);
    return frame;
  }

  private withRoom(room: number): OpenFrame {
    const frame = this.open;
    if (frame === undefined) throw new Error('no frame is open');
    if (frame.block.used + room > frame.block.bytes.length) {
      frame.block = this.cache.moveTail(frame.block, frame, room);
    }
    return frame;
  }

  private storeStateBytes(): number {
    let bytes = RECORD_HEADER_BYTES + this.segments.count * 8;
    for (const group of this.groups.allStored()) {
      bytes += groupStateRecordBytes(group.confState);
      if (group.floor.index > 0) bytes += RECORD_HEADER_BYTES;
    }
    return bytes;
  }

  private putStoreState(frame: OpenFrame): void {
    const payload = encodeNumbers(this.segments.sequences());
    const index = this.groups.count;
    this.putPlain(frame, { kind: RecordKind.StoreState, group: 0, index, term: 0, payload });
    for (const group of this.groups.allStored()) {
      const { block } = frame;
      block.used += putGroupStateRecord(block, block.used, group.id, group.fields());
      if (group.floor.index > 0) this.putPlain(frame, floorRecord(group.id, group.floor));
    }
  }

  private putPlain(frame: OpenFrame, record: PlainRecord): void {
    putPlainRecord(frame.block, frame.block.used, record);
    frame.block.used += RECORD_HEADER_BYTES + record.payload.length;
  }

  private apply(frame: OpenFrame, operation: LogOperation): void {
    const { group: id } = operation;
    switch (operation.kind) {
      case 'entries':
        this.applyEntries(frame, this.groups.stored(id), operation.entries);
        return;
      case 'hard-state':
        this.groups.stored(id).hardState = operation.hardState;
        putHardStateRecord(frame.block, frame.block.used, id, operation.hardState);
        frame.block.used += HARD_STATE_RECORD_BYTES;
        return;
      case 'conf-state': {
        const state = this.groups.stored(id);
        const { index, confState } = operation;
        state.confState = confState;
        state.confIndex = index;
        const payload = encodeConfState(confState);
        this.putPlain(frame, { kind: RecordKind.ConfState, group: id, index, term: 0, payload });
        return;
      }
      case 'snapshot': {
        const { index, term, confState } = operation.metadata;
        this.groups.stored(id).installSnapshot(operation.metadata);
        const payload = encodeConfState(confState);
        this.putPlain(frame, { kind: RecordKind.Snapshot, group: id, index, term, payload });
        return;
      }
      case 'compact':
        this.applyCompaction(frame, id, operation.index);
        return;
      case 'remove':
        if (!this.groups.remove(id)) return;
        this.putPlain(frame, emptyRecord(RecordKind.RemoveGroup, id, 0, 0));
        return;
      case 'vote-floor':
        this.groups.stored(id).floor = operation.floor;
        this.putPlain(frame, floorRecord(id, operation.floor));
        return;
    }
  }

  private applyEntries(frame: OpenFrame, group: GroupState, entries: readonly Entry[]): void {
    const { table } = group;
    const { block } = frame;
    let previous = -1;
    for (const entry of entries) {
      const { index } = entry;
      const isConsecutive = previous < 0 || index === previous + 1;
      previous = index;
      if (index <= group.compactedIndex && isConsecutive) continue;
      const last = table.lastIndex;
      if (!isConsecutive || index > last + 1) {
        throw new LogStoreError(
          'invalid',
          `group ${group.id}: entry ${index} does not follow entry ${last}`,
        );
      }
      if (index <= last) table.truncateFrom(index);
      putEntryRecord(block, block.used, group.id, entry);
      table.append(entry.term, frame.segment, block.fileEnd, entry.data.length);
      block.used += entryRecordBytes(entry.data.length);
    }
  }

  private applyCompaction(frame: OpenFrame, id: GroupId, index: number): void {
    const group = this.groups.handle(id);
    if (index <= group.compactedIndex) return;
    if (index > group.lastIndex()) {
      throw new LogStoreError(
        'invalid',
        `group ${id}: compaction to ${index} is beyond the last entry ${group.lastIndex()}`,
      );
    }
    const term = group.term(index);
    group.compactTo(index, term);
    this.putPlain(frame, emptyRecord(RecordKind.Compact, id, index, term));
  }
}

function emptyRecord(kind: RecordKind, group: GroupId, index: number, term: number): PlainRecord {
  return { kind, group, index, term, payload: NO_PAYLOAD };
}

function floorRecord(id: GroupId, { index, term }: LogEnd): PlainRecord {
  return emptyRecord(RecordKind.VoteFloor, id, index, term);
}
