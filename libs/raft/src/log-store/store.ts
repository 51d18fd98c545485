/**
 * The log store: takes batches, makes them visible, hands frames to the writer, tells the callers.
 *
 * In: batches of the host. Out: promises that resolve when a batch is on disk. After the first
 * failed file operation it takes nothing any more, because nobody can know what is on disk then; it
 * never retries a sync and never acknowledges what was not synced.
 *
 *     open --write fails--> failed        open, failed --close()--> closed
 */
import { type LogOperation, OperationBatch } from './batch.js';
import { LogStoreError } from './errors.js';
import type { DirectoryLock, SyncPlace } from './files.js';
import { FrameWriter } from './frame-writer.js';
import type { GroupDirectory } from './group-directory.js';
import type { Frame, FrameWaiter, LogTail } from './log-tail.js';
import type { Segments } from './segments.js';
import type { TailCache } from './tail-cache.js';
import type {
  GroupId,
  GroupLog,
  LogBatch,
  LogStore,
  LogStoreStats,
  RecoveryReport,
  WriteOptions,
} from './types.js';

export interface SegmentedLogStoreParts {
  readonly segments: Segments;
  readonly groups: GroupDirectory;
  readonly cache: TailCache;
  readonly tail: LogTail;
  readonly lock: DirectoryLock;
  readonly recovery: RecoveryReport;
  readonly syncDirectory: () => Promise<void>;
  readonly firstSegmentToWrite: number;
  readonly inlineWriteBytesMax: number;
  readonly syncPlace: SyncPlace | undefined;
  readonly pendingBytesMax: number;
  readonly heldBytesMax: number;
}

export class SegmentedLogStore implements LogStore {
  private readonly writer: FrameWriter;
  private failure: LogStoreError | undefined;
  private closing: Promise<void> | undefined;
  private dropping: Promise<number> | undefined;
  /** The segment the newest durable frame is in; what comes before it is complete. */
  private durableSegment: number;
  private pendingBytes = 0;
  private syncCount = 0;
  private batchCount = 0;
  private bytesWritten = 0;

  constructor(private readonly parts: SegmentedLogStoreParts) {
    this.durableSegment = parts.firstSegmentToWrite;
    const events = {
      next: () => parts.tail.takeFrame(),
      onDurable: (frame: Frame) => this.onDurable(frame),
      onFailed: (frame: Frame, error: LogStoreError) => this.onFailed(frame, error),
    };
    const { segments, inlineWriteBytesMax, syncPlace } = parts;
    this.writer = new FrameWriter(segments, inlineWriteBytesMax, events, syncPlace);
  }

  batch(): LogBatch {
    return new OperationBatch();
  }

  async write(batch: LogBatch, options?: WriteOptions): Promise<void> {
    this.refuseIfUnusable();
    if (!(batch instanceof OperationBatch)) {
      throw new LogStoreError('invalid', 'the batch was not made by this store');
    }
    const { bytes } = batch;
    // An empty batch only waits for what was taken over before, however much that is.
    const hasRoom = batch.isEmpty || this.pendingBytes + bytes <= this.parts.pendingBytesMax;
    if (this.pendingBytes > 0 && !hasRoom) {
      throw new LogStoreError('busy', `${this.pendingBytes} bytes wait to be written already`);
    }
    const isSynced = options?.sync !== false;
    if (!batch.isEmpty) this.takeIn(batch.take(), bytes, isSynced);
    if (!isSynced) {
      if (this.parts.tail.gatheredBytes > this.parts.heldBytesMax) this.parts.tail.want();
      this.writer.pump();
      return;
    }
    return this.untilDurable();
  }

  group(id: GroupId): GroupLog {
    return this.parts.groups.handle(id);
  }

  groups(): GroupId[] {
    return Array.from(this.parts.groups.allStored(), (group) => group.id);
  }

  stats(): LogStoreStats {
    const { segments, groups, cache, recovery } = this.parts;
    return {
      bytes: segments.bytes(),
      segments: segments.count,
      groups: groups.count,
      entries: segments.liveEntries(),
      syncs: this.syncCount,
      batches: this.batchCount,
      bytesWritten: this.bytesWritten,
      pendingBytes: this.pendingBytes,
      isWriting: this.writer.inFlight !== undefined,
      aheadFailure: segments.aheadFailure,
      cacheBytes: cache.bytes,
      diskReads: segments.readCount,
      recovery,
    };
  }

  dropObsoleteSegments(): Promise<number> {
    this.dropping ??= this.dropSegments().finally(() => {
      this.dropping = undefined;
    });
    return this.dropping;
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private refuseIfUnusable(): void {
    if (this.closing !== undefined) throw new LogStoreError('closed', 'the log store is closed');
    if (this.failure !== undefined) {
      throw new LogStoreError('failed', 'the log store has failed before', { cause: this.failure });
    }
  }

  /** A broken rule leaves memory and log apart, so it ends the store as a failed disk does. */
  private takeIn(operations: readonly LogOperation[], bytes: number, isSynced: boolean): void {
    try {
      this.parts.tail.add(operations, bytes, isSynced);
    } catch (cause) {
      const error =
        cause instanceof LogStoreError
          ? cause
          : new LogStoreError('invalid', 'the batch could not be encoded', { cause });
      this.fail(error);
      throw error;
    }
    this.pendingBytes += bytes;
    this.batchCount++;
  }

  /** Resolves when everything accepted so far is on disk. */
  private untilDurable(): Promise<void> {
    return new Promise((fulfil, reject) => {
      const waiter: FrameWaiter = { resolve: fulfil, reject };
      if (!this.parts.tail.wait(waiter)) {
        const { inFlight } = this.writer;
        if (inFlight === undefined) fulfil();
        else inFlight.waiters.push(waiter);
      }
      this.writer.pump();
    });
  }

  private onDurable(frame: Frame): void {
    const bytes = frame.end - frame.start;
    this.syncCount++;
    this.bytesWritten += bytes;
    this.pendingBytes = Math.max(0, this.pendingBytes - frame.batchBytes);
    this.durableSegment = frame.segment;
    this.parts.cache.evict({ segment: frame.segment, offset: frame.offset + bytes });
    for (const waiter of frame.waiters) waiter.resolve();
  }

  private onFailed(frame: Frame, error: LogStoreError): void {
    this.fail(error);
    for (const waiter of frame.waiters) waiter.reject(error);
  }

  private fail(error: LogStoreError): void {
    this.failure ??= error;
    for (const waiter of this.parts.tail.takeWaiters()) {
      waiter.reject(
        new LogStoreError('failed', 'an earlier write to the log failed', { cause: error }),
      );
    }
  }

  private async dropSegments(): Promise<number> {
    this.refuseIfUnusable();
    const { segments, tail } = this.parts;
    const sequences = segments.droppable(this.durableSegment);
    if (sequences.length === 0) return 0;
    let freed = 0;
    for (const sequence of sequences) freed += segments.forget(sequence);
    tail.addSegmentDrop(sequences);
    await this.untilDurable();
    try {
      for (const sequence of sequences) segments.deleteFile(sequence);
      await this.parts.syncDirectory();
    } catch (cause) {
      // Harmless: the log says that they are gone, and the next opening deletes them.
      throw new LogStoreError('io', 'obsolete segments could not be deleted', { cause });
    }
    return freed;
  }

  private async shutDown(): Promise<void> {
    const before = this.failure;
    try {
      if (before === undefined) {
        this.parts.tail.want();
        this.writer.pump();
      }
      await this.writer.idle();
      // A drop that waited for the last write still deletes its files; its caller hears of failures.
      await this.dropping?.catch(() => undefined);
    } finally {
      await this.parts.segments.close();
      await this.parts.lock.release();
    }
    if (before === undefined && this.failure !== undefined) throw this.failure;
  }
}
