/**
 * The log of one replica: what the storage has, followed by what it does not have yet.
 *
 *   applied <= applying <= committed <= lastIndex
 *
 * Comes in: entries to append, a commit index, reports of what was stored and applied. Goes out:
 * slices, terms, and what may be applied next. Never writes the storage.
 */
import { panic } from './errors.js';
import { entriesBytes, limitBytes } from './entry-size.js';
import { LogUnstable } from './log-unstable.js';
import type { Logger } from './logger.js';
import { StorageError, type Storage } from './storage.js';
import type { Entry, LogIndex, Snapshot, Term } from './types.js';

export class RaftLog {
  readonly unstable: LogUnstable;
  /** Highest index known to be stored by a quorum. */
  committed: LogIndex;
  /** Highest index that was handed out to be applied. */
  applying: LogIndex;
  /** Highest index that was reported as applied. */
  applied: LogIndex;
  /** Size of the entries that were handed out and not reported as applied. */
  private applyingBytes = 0;
  /** True while no more entries are handed out because of `applyingBytesMax`. */
  private applyingPaused = false;

  constructor(
    readonly storage: Storage,
    private readonly logger: Logger,
    private readonly applyingBytesMax: number,
  ) {
    const beforeFirst = storage.firstIndex() - 1;
    this.unstable = new LogUnstable(storage.lastIndex() + 1, logger);
    this.committed = beforeFirst;
    this.applying = beforeFirst;
    this.applied = beforeFirst;
  }

  describe(): string {
    return (
      `committed=${this.committed}, applied=${this.applied}, applying=${this.applying}, ` +
      `unstable.offset=${this.unstable.offset}, ` +
      `unstable.offsetInProgress=${this.unstable.offsetInProgress}, ` +
      `len(unstable.Entries)=${this.unstable.entries.length}`
    );
  }

  firstIndex(): LogIndex {
    return this.unstable.maybeFirstIndex() ?? this.storage.firstIndex();
  }

  lastIndex(): LogIndex {
    return this.unstable.maybeLastIndex() ?? this.storage.lastIndex();
  }

  lastTerm(): Term {
    const term = this.termOrUndefined(this.lastIndex());
    return term ?? panic(this.logger, 'unexpected error when getting the last term');
  }

  /** Term at `index`; undefined when it was compacted away or lies past the end. */
  termOrUndefined(index: LogIndex): Term | undefined {
    const unstable = this.unstable.maybeTerm(index);
    if (unstable !== undefined) return unstable;
    if (index + 1 < this.firstIndex() || index > this.lastIndex()) return undefined;
    try {
      return this.storage.term(index);
    } catch (error) {
      if (isOutOfRange(error)) return undefined;
      throw error;
    }
  }

  /** Term at `index`, 0 where it is not known. */
  termOrZero(index: LogIndex): Term {
    return this.termOrUndefined(index) ?? 0;
  }

  matchTerm(index: LogIndex, term: Term): boolean {
    return this.termOrUndefined(index) === term;
  }

  /** True if a log that ends with (lastIndex, lastTerm) has all that this one has committed. */
  isUpToDate(lastIndex: LogIndex, lastTerm: Term): boolean {
    const ours = this.lastTerm();
    return lastTerm > ours || (lastTerm === ours && lastIndex >= this.lastIndex());
  }

  /**
   * Appends the entries of a leader that follow (prevIndex, prevTerm) and moves the commit index.
   * Returns the last index that now agrees with the leader, or undefined if the logs do not meet.
   */
  maybeAppend(
    prevIndex: LogIndex,
    prevTerm: Term,
    entries: readonly Entry[],
    committed: LogIndex,
  ): LogIndex | undefined {
    if (!this.matchTerm(prevIndex, prevTerm)) return undefined;
    const last = prevIndex + entries.length;
    const conflict = this.findConflict(entries);
    if (conflict !== 0) {
      if (conflict <= this.committed) {
        panic(
          this.logger,
          `entry ${conflict} conflict with committed entry [committed(${this.committed})]`,
        );
      }
      const skip = conflict - (prevIndex + 1);
      this.append(skip === 0 ? entries : entries.slice(skip));
    }
    this.commitTo(Math.min(committed, last));
    return last;
  }

  /** Appends entries that start at or after committed + 1; returns the new last index. */
  append(entries: readonly Entry[]): LogIndex {
    const first = entries[0];
    if (first === undefined) return this.lastIndex();
    const after = first.index - 1;
    if (after < this.committed) {
      panic(this.logger, `after(${after}) is out of range [committed(${this.committed})]`);
    }
    this.unstable.truncateAndAppend(entries);
    return this.lastIndex();
  }

  /** Index of the first entry that is not in the log with its term; 0 if all are. */
  private findConflict(entries: readonly Entry[]): LogIndex {
    for (const entry of entries) {
      if (this.matchTerm(entry.index, entry.term)) continue;
      if (entry.index <= this.lastIndex()) {
        this.logger.info(
          () =>
            `found conflict at index ${entry.index} [existing term: ` +
            `${this.termOrZero(entry.index)}, conflicting term: ${entry.term}]`,
        );
      }
      return entry.index;
    }
    return 0;
  }

  /**
   * Highest index, at or below `index`, whose term is at most `term`: nothing above it can agree
   * with a log whose entry at `index` has `term`. Where the own term is not known any more, the
   * answer is that index with term 0.
   */
  findConflictByTerm(index: LogIndex, term: Term): { index: LogIndex; term: Term } {
    for (let at = index; at > 0; at--) {
      const ours = this.termOrUndefined(at);
      if (ours === undefined) return { index: at, term: 0 };
      if (ours <= term) return { index: at, term: ours };
    }
    return { index: 0, term: 0 };
  }

  /** Moves the commit index forward; never back. */
  commitTo(index: LogIndex): void {
    if (index <= this.committed) return;
    if (this.lastIndex() < index) {
      panic(
        this.logger,
        `tocommit(${index}) is out of range [lastIndex(${this.lastIndex()})]. ` +
          'Was the raft log corrupted, truncated, or lost?',
      );
    }
    this.committed = index;
  }

  /** Commits up to `index` if the entry there is of `term`; a leader never counts older ones. */
  maybeCommit(index: LogIndex, term: Term): boolean {
    if (index <= this.committed || !this.matchTerm(index, term)) return false;
    this.commitTo(index);
    return true;
  }

  /** Notes that `entries` (a prefix of what may be applied) were handed out. */
  acceptApplying(entries: readonly Entry[], allowUnstable: boolean): void {
    const last = entries[entries.length - 1];
    if (last === undefined) return;
    if (this.committed < last.index) {
      panic(
        this.logger,
        `applying(${last.index}) is out of range [prevApplying(${this.applying}), ` +
          `committed(${this.committed})]`,
      );
    }
    this.applying = last.index;
    this.applyingBytes += entriesBytes(entries);
    // Entries that were left out although they could be applied mean that the limit is reached.
    this.applyingPaused =
      this.applyingBytes >= this.applyingBytesMax ||
      last.index < this.maxAppliableIndex(allowUnstable);
  }

  /** The state machine has everything up to `index`; `bytes` of what was handed out is done. */
  appliedTo(index: LogIndex, bytes: number): void {
    if (this.committed < index || index < this.applied) {
      panic(
        this.logger,
        `applied(${index}) is out of range [prevApplied(${this.applied}), ` +
          `committed(${this.committed})]`,
      );
    }
    this.applied = index;
    this.applying = Math.max(this.applying, index);
    this.applyingBytes = Math.max(0, this.applyingBytes - bytes);
    this.applyingPaused = this.applyingBytes >= this.applyingBytesMax;
  }

  hasNextCommittedEntries(allowUnstable: boolean): boolean {
    if (this.applyingPaused || this.unstable.snapshot !== undefined) return false;
    return this.applying < this.maxAppliableIndex(allowUnstable);
  }

  /** Committed entries that were not handed out yet, within the limit on work handed out. */
  nextCommittedEntries(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommittedEntries(allowUnstable)) return [];
    return this.slice(
      this.applying + 1,
      this.maxAppliableIndex(allowUnstable) + 1,
      this.applyingBytesMax - this.applyingBytes,
    );
  }

  /** Own entries may be applied before they are stored only if nobody can tell the difference. */
  private maxAppliableIndex(allowUnstable: boolean): LogIndex {
    return allowUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1);
  }

  /** Entries from `low` on, within `bytesMax`; undefined if they were compacted away. */
  entriesFrom(low: LogIndex, bytesMax: number): readonly Entry[] | undefined {
    const last = this.lastIndex();
    if (low > last) return [];
    if (low < this.firstIndex()) return undefined;
    try {
      return this.slice(low, last + 1, bytesMax);
    } catch (error) {
      if (error instanceof StorageError && error.code === 'compacted') return undefined;
      throw error;
    }
  }

  /** Entries low..high-1 within `bytesMax`, at least one. Throws StorageError 'compacted'. */
  slice(low: LogIndex, high: LogIndex, bytesMax: number): readonly Entry[] {
    if (low > high || high > this.lastIndex() + 1) {
      panic(
        this.logger,
        `slice[${low},${high}) out of bound [${this.firstIndex()},${this.lastIndex()}]`,
      );
    }
    if (low === high) return [];
    const offset = this.unstable.offset;
    if (low >= offset) return limitBytes(this.unstable.slice(low, high), bytesMax);
    const cut = Math.min(high, offset);
    const stored = this.storage.entries(low, cut, bytesMax);
    if (high <= offset || stored.length < cut - low) return stored;
    const size = entriesBytes(stored);
    if (size >= bytesMax) return stored;
    const tail = this.unstable.slice(offset, high);
    const first = tail[0];
    const fitting = limitBytes(tail, bytesMax - size);
    // limitBytes keeps at least one entry; here even that one may be too many.
    if (fitting.length === 1 && first !== undefined && size + entriesBytes(fitting) > bytesMax) {
      return stored;
    }
    return [...stored, ...fitting];
  }

  /** The snapshot for a peer that is behind the first index. Throws StorageError. */
  snapshot(): Snapshot {
    return this.unstable.snapshot ?? this.storage.snapshot();
  }

  /** Replaces the whole log by a snapshot from the leader. */
  restore(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata;
    this.logger.info(
      () => `log [${this.describe()}] starts to restore snapshot [index: ${index}, term: ${term}]`,
    );
    this.committed = index;
    this.unstable.restore(snapshot);
  }
}

function isOutOfRange(error: unknown): boolean {
  return (
    error instanceof StorageError && (error.code === 'compacted' || error.code === 'unavailable')
  );
}
