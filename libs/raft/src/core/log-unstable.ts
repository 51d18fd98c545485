/**
 * The tail of the log that the storage does not have yet, and a snapshot that is on its way there.
 *
 *        offset          offsetInProgress        offset + entries.length
 *          |  handed out to be   |  not handed out       |
 *   stored |  stored, not done   |  yet                  |
 *
 * Entries come in from the leader or from proposals; they leave once the storage reported that it
 * has them. Never reads the storage. Arrays that were handed out are never changed afterwards.
 */
import type { Logger } from './logger.js';
import type { Entry, LogIndex, Snapshot, Term } from './types.js';

export class LogUnstable {
  /** A snapshot that came from the leader and is not stored yet. */
  snapshot: Snapshot | undefined = undefined;
  /** True once `snapshot` was handed out to be stored. */
  snapshotInProgress = false;
  /** entries[i] has the index offset + i. */
  entries: Entry[] = [];
  /** Entries below this index were handed out to be stored. */
  offsetInProgress: LogIndex;

  constructor(
    /** Index of entries[0]; one past the storage's last index when `entries` is empty. */
    public offset: LogIndex,
    private readonly logger: Logger,
  ) {
    this.offsetInProgress = offset;
  }

  /** First index of the log, if the snapshot decides it. */
  maybeFirstIndex(): LogIndex | undefined {
    return this.snapshot === undefined ? undefined : this.snapshot.metadata.index + 1;
  }

  /** Last index of the log, if it lies here. */
  maybeLastIndex(): LogIndex | undefined {
    if (this.entries.length !== 0) return this.offset + this.entries.length - 1;
    return this.snapshot?.metadata.index;
  }

  /** Term at `index`, if it is known here. */
  maybeTerm(index: LogIndex): Term | undefined {
    if (index < this.offset) {
      const metadata = this.snapshot?.metadata;
      return metadata?.index === index ? metadata.term : undefined;
    }
    return this.entries[index - this.offset]?.term;
  }

  /** Entries nobody was asked to store yet. */
  nextEntries(): readonly Entry[] {
    return this.entries.slice(this.offsetInProgress - this.offset);
  }

  hasNextEntries(): boolean {
    return this.entries.length > this.offsetInProgress - this.offset;
  }

  nextSnapshot(): Snapshot | undefined {
    return this.snapshotInProgress ? undefined : this.snapshot;
  }

  /** Notes that everything there is now was handed out to be stored. */
  acceptInProgress(): void {
    if (this.entries.length > 0) this.offsetInProgress = this.offset + this.entries.length;
    if (this.snapshot !== undefined) this.snapshotInProgress = true;
  }

  /**
   * The storage has the log up to (index, term). Reports of entries that were replaced in the
   * meantime are ignored: the storage will have their successors later.
   */
  stableTo(index: LogIndex, term: Term): void {
    const known = this.maybeTerm(index);
    if (known === undefined) {
      this.logger.info(() => `entry at index ${index} missing from unstable log; ignoring`);
      return;
    }
    if (index < this.offset) {
      this.logger.info(() => `entry at index ${index} matched unstable snapshot; ignoring`);
      return;
    }
    if (known !== term) {
      this.logger.info(
        () =>
          `entry at (index,term)=(${index},${term}) mismatched with ` +
          `entry at (${index},${known}) in unstable log; ignoring`,
      );
      return;
    }
    const count = index + 1 - this.offset;
    this.entries = count === this.entries.length ? [] : this.entries.slice(count);
    this.offset = index + 1;
    if (this.offsetInProgress < this.offset) this.offsetInProgress = this.offset;
  }

  /** The storage has the snapshot that ends at `index`. */
  stableSnapshotTo(index: LogIndex): void {
    if (this.snapshot?.metadata.index !== index) return;
    this.snapshot = undefined;
    this.snapshotInProgress = false;
  }

  /** Replaces everything by a snapshot. */
  restore(snapshot: Snapshot): void {
    this.offset = snapshot.metadata.index + 1;
    this.offsetInProgress = this.offset;
    this.entries = [];
    this.snapshot = snapshot;
    this.snapshotInProgress = false;
  }

  /** Appends entries; whatever lay at their indexes or above goes. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const from = first.index;
    if (from === this.offset + this.entries.length) {
      for (const entry of entries) this.entries.push(entry);
      return;
    }
    if (from <= this.offset) {
      this.logger.info(() => `replace the unstable entries from index ${from}`);
      this.entries = entries.slice();
      this.offset = from;
      this.offsetInProgress = from;
      return;
    }
    this.logger.info(() => `truncate the unstable entries before index ${from}`);
    this.entries.length = from - this.offset;
    for (const entry of entries) this.entries.push(entry);
    // What was handed out above `from` will be stored in vain; it has to be stored again.
    if (this.offsetInProgress > from) this.offsetInProgress = from;
  }

  /** Entries low..high-1, which must lie here. */
  slice(low: LogIndex, high: LogIndex): readonly Entry[] {
    return this.entries.slice(low - this.offset, high - this.offset);
  }
}
