/**
 * One group as the store knows it: hard state, configuration, compaction point and the table of
 * its entries. It is what the core reads (`Storage`).
 *
 * In: changes the store has given a place in the log, in order. Out: synchronous answers. Payloads
 * come through the reader, from memory or from a file. It never changes anything on disk.
 */
import { StorageError } from '../core/storage.js';
import {
  type ConfState,
  EMPTY_HARD_STATE,
  type Entry,
  type HardState,
  LOG_START,
  type LogIndex,
  type LogEnd,
  type Snapshot,
  type SnapshotMetadata,
  type Term,
} from '../core/types.js';
import { EntryTable, type SegmentUse } from './entry-table.js';
import type { GroupStateFields } from './records.js';
import type { GroupId, GroupLog } from './types.js';

export const EMPTY_CONF_STATE: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

/** Turns positions into entries. */
export interface EntryReader {
  /** Entries lo..hi-1, all of them in the table. */
  read(group: GroupId, table: EntryTable, lo: LogIndex, hi: LogIndex): readonly Entry[];
  /** The same without holding the calling thread. */
  readLater(
    group: GroupId,
    table: EntryTable,
    lo: LogIndex,
    hi: LogIndex,
  ): Promise<readonly Entry[]>;
}

export class GroupState implements GroupLog {
  readonly table: EntryTable;
  hardState: HardState = EMPTY_HARD_STATE;
  confState: ConfState = EMPTY_CONF_STATE;
  confIndex: LogIndex = 0;
  compactedIndex: LogIndex = 0;
  compactedTerm: Term = 0;
  floor: LogEnd = LOG_START;
  isStored = false;
  private provider: (() => Snapshot) | undefined;

  constructor(
    readonly id: GroupId,
    use: SegmentUse,
    private readonly reader: EntryReader,
  ) {
    this.table = new EntryTable(use);
  }

  setSnapshotProvider(provider: () => Snapshot): void {
    this.provider = provider;
  }

  initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: this.hardState, confState: this.confState };
  }

  confStateIndex(): LogIndex {
    return this.confIndex;
  }

  voteFloor(): LogEnd {
    return this.floor;
  }

  firstIndex(): LogIndex {
    return this.table.firstIndex;
  }

  lastIndex(): LogIndex {
    return this.table.lastIndex;
  }

  lastTerm(): Term {
    return this.term(this.lastIndex());
  }

  term(index: LogIndex): Term {
    if (index === this.compactedIndex) return this.compactedTerm;
    if (index < this.compactedIndex) throw compacted(this.id, index);
    if (index > this.table.lastIndex) throw unavailable(this.id, index);
    return this.table.termOf(index);
  }

  entries(lo: LogIndex, hi: LogIndex, maxBytes: number): readonly Entry[] {
    if (lo >= hi) return [];
    return this.reader.read(this.id, this.table, lo, this.fitting(lo, hi, maxBytes));
  }

  async entriesLater(lo: LogIndex, hi: LogIndex, maxBytes: number): Promise<readonly Entry[]> {
    if (lo >= hi) return [];
    const end = this.fitting(lo, hi, maxBytes);
    try {
      return await this.reader.readLater(this.id, this.table, lo, end);
    } catch (error) {
      // Cut while it was read: nothing is wrong with the disk.
      if (lo < this.table.firstIndex || !this.isStored) throw compacted(this.id, lo);
      throw error;
    }
  }

  payloadBytesBetween(lo: LogIndex, hi: LogIndex): number {
    let bytes = 0;
    for (let index = lo; index < hi; index++) bytes += this.table.payloadBytesOf(index);
    return bytes;
  }

  snapshot(): Snapshot {
    if (this.provider !== undefined) return this.provider();
    throw new StorageError(
      'snapshot-temporarily-unavailable',
      `group ${this.id} has nobody who provides its snapshots`,
    );
  }

  /** The log now ends and begins at the snapshot. */
  installSnapshot(metadata: SnapshotMetadata): void {
    this.table.reset(metadata.index + 1);
    this.compactedIndex = metadata.index;
    this.compactedTerm = metadata.term;
    this.confState = metadata.confState;
    this.confIndex = metadata.index;
  }

  compactTo(index: LogIndex, term: Term): void {
    this.table.dropThrough(index);
    this.compactedIndex = index;
    this.compactedTerm = term;
  }

  /** Back to nothing; what the entries occupied is given free. */
  clear(): void {
    this.table.reset(1);
    this.hardState = EMPTY_HARD_STATE;
    this.confState = EMPTY_CONF_STATE;
    this.confIndex = 0;
    this.compactedIndex = 0;
    this.compactedTerm = 0;
    this.floor = LOG_START;
    this.isStored = false;
    this.provider = undefined;
  }

  /** The index after the last entry that fits; one does in any case. */
  private fitting(lo: LogIndex, hi: LogIndex, maxBytes: number): LogIndex {
    if (lo < this.table.firstIndex) throw compacted(this.id, lo);
    if (hi > this.table.lastIndex + 1) throw unavailable(this.id, hi - 1);
    let bytes = this.table.payloadBytesOf(lo);
    let end = lo + 1;
    while (end < hi) {
      bytes += this.table.payloadBytesOf(end);
      if (bytes > maxBytes) break;
      end++;
    }
    return end;
  }

  /** What is written at the start of every segment. */
  fields(): GroupStateFields {
    return {
      compactedIndex: this.compactedIndex,
      compactedTerm: this.compactedTerm,
      lastIndex: this.table.lastIndex,
      hardTerm: this.hardState.term,
      vote: this.hardState.vote,
      commit: this.hardState.commit,
      confIndex: this.confIndex,
      confState: this.confState,
    };
  }
}

function compacted(group: GroupId, index: LogIndex): StorageError {
  return new StorageError('compacted', `entry ${index} of group ${group} is compacted`);
}

function unavailable(group: GroupId, index: LogIndex): StorageError {
  return new StorageError('unavailable', `entry ${index} of group ${group} is not there yet`);
}
