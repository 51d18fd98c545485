/**
 * Collects the changes of one turn. In: calls of the host. Out: the list of operations, in the
 * order of the calls, that the store takes over when the batch is written.
 *
 * Nothing is copied and nothing is checked here: entries are encoded once, straight into the place
 * they are written from.
 */
import type {
  ConfState,
  Entry,
  HardState,
  LogIndex,
  LogEnd,
  SnapshotMetadata,
} from '../core/types.js';
import { confStateBytes, HARD_STATE_RECORD_BYTES, RECORD_HEADER_BYTES } from './records.js';
import type { GroupId, LogBatch } from './types.js';

export type LogOperation =
  | { readonly kind: 'entries'; readonly group: GroupId; readonly entries: readonly Entry[] }
  | { readonly kind: 'hard-state'; readonly group: GroupId; readonly hardState: HardState }
  | {
      readonly kind: 'conf-state';
      readonly group: GroupId;
      readonly index: LogIndex;
      readonly confState: ConfState;
    }
  | { readonly kind: 'snapshot'; readonly group: GroupId; readonly metadata: SnapshotMetadata }
  | { readonly kind: 'compact'; readonly group: GroupId; readonly index: LogIndex }
  | { readonly kind: 'remove'; readonly group: GroupId }
  | { readonly kind: 'vote-floor'; readonly group: GroupId; readonly floor: LogEnd };

export class OperationBatch implements LogBatch {
  private operations: LogOperation[] = [];
  private bytesTotal = 0;

  get isEmpty(): boolean {
    return this.operations.length === 0;
  }

  get bytes(): number {
    return this.bytesTotal;
  }

  appendEntries(group: GroupId, entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    for (const entry of entries) this.bytesTotal += RECORD_HEADER_BYTES + entry.data.length;
    this.operations.push({ kind: 'entries', group, entries });
  }

  setHardState(group: GroupId, hardState: HardState): void {
    this.bytesTotal += HARD_STATE_RECORD_BYTES;
    this.operations.push({ kind: 'hard-state', group, hardState });
  }

  setConfState(group: GroupId, index: LogIndex, confState: ConfState): void {
    this.bytesTotal += RECORD_HEADER_BYTES + confStateBytes(confState);
    this.operations.push({ kind: 'conf-state', group, index, confState });
  }

  installSnapshot(group: GroupId, metadata: SnapshotMetadata): void {
    this.bytesTotal += RECORD_HEADER_BYTES + confStateBytes(metadata.confState);
    this.operations.push({ kind: 'snapshot', group, metadata });
  }

  compact(group: GroupId, index: LogIndex): void {
    this.bytesTotal += RECORD_HEADER_BYTES;
    this.operations.push({ kind: 'compact', group, index });
  }

  removeGroup(group: GroupId): void {
    this.bytesTotal += RECORD_HEADER_BYTES;
    this.operations.push({ kind: 'remove', group });
  }

  setVoteFloor(group: GroupId, floor: LogEnd): void {
    this.bytesTotal += RECORD_HEADER_BYTES;
    this.operations.push({ kind: 'vote-floor', group, floor });
  }

  /** Hands the operations over and leaves the batch empty. */
  take(): readonly LogOperation[] {
    const taken = this.operations;
    this.operations = [];
    this.bytesTotal = 0;
    return taken;
  }
}
