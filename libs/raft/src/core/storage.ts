/**
 * The log as the core sees it: synchronous reads of what is already stored.
 *
 * The core never writes through this port; it says in `Ready` what has to be written, and whoever
 * drives it writes. A storage holds (firstIndex-1, its term] as the dummy position that was
 * compacted away, then the entries firstIndex..lastIndex.
 */
import type { ConfState, Entry, HardState, LogIndex, Snapshot, Term } from './types.js';

/** Why a storage could not answer; expected ends, not failures. */
export type StorageErrorCode =
  /** The position is below firstIndex-1: compacted away. */
  | 'compacted'
  /** The position is above lastIndex. */
  | 'unavailable'
  /** A snapshot older than the one already there was offered. */
  | 'snapshot-out-of-date'
  /** No snapshot can be had now; ask again later. */
  | 'snapshot-temporarily-unavailable';

export class StorageError extends Error {
  constructor(
    readonly code: StorageErrorCode,
    message: string,
  ) {
    super(message);
    this.name = 'StorageError';
  }
}

export interface Storage {
  /** What was persisted before the restart; read once, when the replica is made. */
  initialState(): { hardState: HardState; confState: ConfState };
  /**
   * Entries lo..hi-1 (at least one, if lo < hi), cut so that their payloads stay within
   * `maxBytes`. Throws StorageError 'compacted' or 'unavailable'.
   */
  entries(lo: LogIndex, hi: LogIndex, maxBytes: number): readonly Entry[];
  /** Term of the entry at `index`, from firstIndex-1 to lastIndex. Throws StorageError. */
  term(index: LogIndex): Term;
  /** Index of the last stored entry; firstIndex-1 if there is none. */
  lastIndex(): LogIndex;
  /** Index of the first entry that can be read; 1 for a fresh log. */
  firstIndex(): LogIndex;
  /** The newest snapshot, for a peer that needs entries below firstIndex. Throws StorageError. */
  snapshot(): Snapshot;
}
