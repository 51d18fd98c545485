/**
 * The public face of the durable Raft log: what a host of many groups programs against.
 *
 * In: batches of changes, one per turn of the host for all its groups. Out: a promise per batch
 * that resolves once the batch is on disk, and one `Storage` per group whose reads are synchronous.
 * The log must never acknowledge what is not on disk, and never open on damaged data as if the
 * damage were the end of the log.
 */
import type { Storage } from '../core/storage.js';
import type {
  ConfState,
  Entry,
  HardState,
  LogIndex,
  LogEnd,
  Snapshot,
  SnapshotMetadata,
  Term,
} from '../core/types.js';
import type { LogFiles, SyncPlace } from './files.js';

/** Identity of a Raft group on a node; any safe integer from 0, never reused for another table. */
export type GroupId = number;

/**
 * Collects changes of any number of groups. Nothing happens before the batch is written; a written
 * batch is empty again and can be filled anew. Entries must not change after they were handed over.
 */
export interface LogBatch {
  /**
   * Entries with consecutive indexes. An index at or below the group's last one truncates the tail
   * from there; indexes that are already compacted are skipped; a gap is a broken invariant.
   */
  appendEntries(group: GroupId, entries: readonly Entry[]): void;
  setHardState(group: GroupId, hardState: HardState): void;
  /** The configuration as of the applied `index`, for `initialState()` after a restart. */
  setConfState(group: GroupId, index: LogIndex, confState: ConfState): void;
  /** Drops the group's whole log; its first index becomes `metadata.index + 1`. */
  installSnapshot(group: GroupId, metadata: SnapshotMetadata): void;
  /** Entries up to and including `index` are no longer needed. `index` is at most the last one. */
  compact(group: GroupId, index: LogIndex): void;
  /** Forgets the group. Its handle is dead from then on: ask the store for a new one. */
  removeGroup(group: GroupId): void;
  /** Where the log ended that the group just gave up; stays until the group is removed. */
  setVoteFloor(group: GroupId, floor: LogEnd): void;
  readonly isEmpty: boolean;
  /** Upper bound of what the batch adds to the log, in bytes. */
  readonly bytes: number;
}

export interface WriteOptions {
  /**
   * `false`: nobody waits for this batch (only the commit index changed). It is readable at once,
   * the promise resolves at once, and it goes to disk with the next synced batch, at the latest
   * when `heldBytesMax` are waiting or at `close()`. A crash may lose it. Default `true`.
   */
  readonly sync?: boolean;
}

export interface LogStore {
  batch(): LogBatch;
  /**
   * Takes the batch over and empties it. Its changes are readable when the call returns; the
   * promise resolves when they are on disk. Batches become durable in the order of the calls, each
   * as a whole or not at all. One write is in flight; later batches gather for the next.
   * Rejects with LogStoreError: `io` or `failed` (the store is unusable from then on: a failed
   * write or fsync is never retried), `closed`, `busy` (nothing was taken over, retryable).
   */
  write(batch: LogBatch, options?: WriteOptions): Promise<void>;
  /** The group's log; an empty one if nothing is stored. Always the same object per group. */
  group(id: GroupId): GroupLog;
  /** The groups that have any stored state. */
  groups(): GroupId[];
  stats(): LogStoreStats;
  /** Deletes segments that hold no entry any group still needs. Returns the bytes freed. */
  dropObsoleteSegments(): Promise<number>;
  /** Idempotent. Brings to disk what was accepted, closes the files, releases the directory. */
  close(): Promise<void>;
}

export interface GroupLog extends Storage {
  readonly id: GroupId;
  /** Where `snapshot()` gets its answer; without one it is temporarily unavailable. */
  setSnapshotProvider(provider: () => Snapshot): void;
  /**
   * As `entries`, without holding the calling thread while a disk works. Entries that are cut from
   * the log meanwhile are given, or refused as 'compacted'.
   */
  entriesLater(lo: LogIndex, hi: LogIndex, maxBytes: number): Promise<readonly Entry[]>;
  /** Bytes of the payloads of entries lo..hi-1, all of which are there. */
  payloadBytesBetween(lo: LogIndex, hi: LogIndex): number;
  /** Applied index that the stored configuration belongs to; 0 if none was ever stored. */
  confStateIndex(): LogIndex;
  /** Term of the last entry, or of the compaction point if there is none. */
  lastTerm(): Term;
  /** Where the log ended that was given up before this one; the start of a log if none was. */
  voteFloor(): LogEnd;
  /** Whether anything at all is stored for this group. */
  readonly isStored: boolean;
}

/** What opening found and did; worth a log line when `cutBytes` is not 0. */
export interface RecoveryReport {
  readonly segments: number;
  readonly frames: number;
  readonly entriesScanned: number;
  /** Bytes of an unfinished last write that were cut off; never acknowledged to anyone. */
  readonly cutBytes: number;
  /** The file and the offset of the cut; undefined if nothing was cut. */
  readonly cutAt: { readonly file: string; readonly offset: number } | undefined;
}

export interface LogStoreStats {
  /** Size of the segment files on disk. */
  readonly bytes: number;
  readonly segments: number;
  readonly groups: number;
  /** Entries that can be read, over all groups. */
  readonly entries: number;
  /** Completed writes, each one a frame with one fdatasync. */
  readonly syncs: number;
  readonly batches: number;
  readonly bytesWritten: number;
  /** Accepted and not yet on disk, held unsynced batches included. */
  readonly pendingBytes: number;
  readonly cacheBytes: number;
  /** Whether a frame is on its way to the disk; with the same `syncs` for long, the disk stalls. */
  readonly isWriting: boolean;
  /** Why the next segment could not be made ready ahead, e.g. a full disk; the log goes on for now. */
  readonly aheadFailure: string | undefined;
  /** Reads that had to go to a file. */
  readonly diskReads: number;
  readonly recovery: RecoveryReport;
}

export interface LogStoreOptions {
  /** Size a segment is preallocated to; a larger single batch makes a larger segment. 64 MiB. */
  readonly segmentBytesMax?: number;
  /** Tail of the log that is kept in memory, for the whole store. 4 MiB. */
  readonly cacheBytesMax?: number;
  /** Accepted but not yet durable bytes; `write` answers `busy` above it. 256 MiB. */
  readonly pendingBytesMax?: number;
  /** Unsynced batches wait for a synced one up to this size. 64 KiB. */
  readonly heldBytesMax?: number;
  /** Frames up to this size are written on the calling thread, larger ones in the pool. */
  readonly inlineWriteBytesMax?: number;
  /** Where small syncs are waited for; without it never on the calling thread. */
  readonly syncPlace?: SyncPlace | undefined;
  /** Segment files that are kept open for reading. 64. */
  readonly readHandlesMax?: number;
  /**
   * What to do when the very last frame is complete but damaged, which no crash of the machine
   * explains: `refuse` to open (default), or `cut` it off, knowing that it may have been
   * acknowledged. For an operator who has read the message, never for a start script.
   */
  readonly damagedLastFrame?: 'refuse' | 'cut';
  /** `false`: a directory without a log is refused as `corrupt`, and nothing is made there. */
  readonly createIfMissing?: boolean;
  /** The file operations; the real ones by default. */
  readonly files?: LogFiles;
}
