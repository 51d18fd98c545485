/**
 * A storage that keeps everything in memory: for tests, and as the in-memory tail of a real one.
 *
 * entries[0] is a dummy that stands for the position just before the first entry; its index and
 * term are those of the last entry that was compacted away or came with a snapshot.
 */
import { RaftInvariantError } from './errors.js';
import { limitBytes } from './entry-size.js';
import { StorageError, type Storage } from './storage.js';
import {
  EMPTY_HARD_STATE,
  EntryType,
  type ConfState,
  type Entry,
  type HardState,
  type LogIndex,
  type Snapshot,
  type Term,
} from './types.js';

const EMPTY_CONF_STATE: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

const NO_DATA = new Uint8Array(0);

function dummy(index: LogIndex, term: Term): Entry {
  return { term, index, type: EntryType.Normal, data: NO_DATA };
}

export class MemoryStorage implements Storage {
  private hardState: HardState = EMPTY_HARD_STATE;
  private current: Snapshot = {
    data: NO_DATA,
    metadata: { confState: EMPTY_CONF_STATE, index: 0, term: 0 },
  };
  private log: Entry[] = [dummy(0, 0)];

  initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: this.hardState, confState: this.current.metadata.confState };
  }

  setHardState(state: HardState): void {
    this.hardState = state;
  }

  /** Makes `confState` what a restart begins with; the newest snapshot's data stays. */
  setConfState(confState: ConfState): void {
    this.current = { ...this.current, metadata: { ...this.current.metadata, confState } };
  }

  private before(): LogIndex {
    const first = this.log[0];
    if (first === undefined) throw new RaftInvariantError('a log without its dummy entry');
    return first.index;
  }

  firstIndex(): LogIndex {
    return this.before() + 1;
  }

  lastIndex(): LogIndex {
    return this.before() + this.log.length - 1;
  }

  term(index: LogIndex): Term {
    const at = index - this.before();
    if (at < 0) throw compacted();
    const entry = this.log[at];
    if (entry === undefined) throw unavailable();
    return entry.term;
  }

  entries(low: LogIndex, high: LogIndex, bytesMax: number): readonly Entry[] {
    const before = this.before();
    if (low <= before) throw compacted();
    if (high > this.lastIndex() + 1 || this.log.length === 1) throw unavailable();
    return limitBytes(this.log.slice(low - before, high - before), bytesMax);
  }

  snapshot(): Snapshot {
    return this.current;
  }

  /** Replaces everything by a snapshot. Throws StorageError 'snapshot-out-of-date'. */
  applySnapshot(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata;
    if (this.current.metadata.index >= index) {
      throw new StorageError(
        'snapshot-out-of-date',
        'requested index is older than the existing snapshot',
      );
    }
    this.current = snapshot;
    this.log = [dummy(index, term)];
  }

  /** Makes a snapshot of the state at `index` the newest one. */
  createSnapshot(index: LogIndex, confState: ConfState | undefined, data: Uint8Array): Snapshot {
    const { metadata } = this.current;
    if (index <= metadata.index) {
      throw new StorageError(
        'snapshot-out-of-date',
        'requested index is older than the existing snapshot',
      );
    }
    const term = this.term(index);
    this.current = {
      data,
      metadata: { index, term, confState: confState ?? metadata.confState },
    };
    return this.current;
  }

  /** Drops entries up to `index`, which the caller has applied. */
  compact(index: LogIndex): void {
    const before = this.before();
    if (index <= before) throw compacted();
    if (index > this.lastIndex()) throw unavailable();
    this.log = [dummy(index, this.term(index)), ...this.log.slice(index - before + 1)];
  }

  /** Appends entries; whatever lay at their indexes or above goes. */
  append(entries: readonly Entry[]): void {
    const last = entries[entries.length - 1];
    if (last === undefined || last.index < this.firstIndex()) return;
    // What was compacted away in the meantime is not added again.
    const fresh = entries.filter((entry) => entry.index >= this.firstIndex());
    const first = fresh[0];
    if (first === undefined) return;
    const at = first.index - this.before();
    if (at > this.log.length) {
      throw new RaftInvariantError(
        `missing log entry [last: ${this.lastIndex()}, append at: ${first.index}]`,
      );
    }
    this.log.length = at;
    for (const entry of fresh) this.log.push(entry);
  }
}

function compacted(): StorageError {
  return new StorageError('compacted', 'requested index is unavailable due to compaction');
}

function unavailable(): StorageError {
  return new StorageError('unavailable', 'requested entry at index is unavailable');
}
