/**
 * Entries of one log that were read and are not stored yet.
 *
 * In: entries as they come, each with the time at which it was seen. Out: what is to be stored as one piece,
 * and when that is due: some time after the oldest was seen, or once there is enough of it.
 */
import { BackupError } from '../backup-error.js';
import { LOG_OBJECT_BYTES, LOG_OBJECT_ENTRIES_MAX } from '../bounds.js';
import { type EntryRecord, recordBytes } from '../format/records.js';
import { type LogPart } from '../ports.js';
import { type HeldBytes } from './turns.js';

/** What an entry takes beside its bytes, as far as memory goes. */
const ENTRY_OVERHEAD_BYTES = 160;

export class Gathered {
  private entries: EntryRecord[] = [];
  private bytes = 0;
  private lastAtMs = 0;

  constructor(
    private readonly held: HeldBytes,
    /** Revision of the next one. */
    private following: number,
    /** Check of the one before it. */
    private check: bigint | undefined,
  ) {}

  get next(): number {
    return this.following;
  }

  get lastCheck(): bigint | undefined {
    return this.check;
  }

  get isEmpty(): boolean {
    return this.entries.length === 0;
  }

  /** When the oldest was seen. */
  get oldestAtMs(): number | undefined {
    return this.entries[0]?.atMs;
  }

  get isEnough(): boolean {
    return this.bytes >= LOG_OBJECT_BYTES || this.entries.length >= LOG_OBJECT_ENTRIES_MAX;
  }

  /** Everything up to here is stored. */
  get piece(): readonly EntryRecord[] {
    return this.entries;
  }

  /** What is there already is passed over. Throws if something is missing in between. */
  add({ entries, lastCheck }: Pick<LogPart, 'entries' | 'lastCheck'>, nowMs: number): void {
    // Times grow with revisions, whatever the clock does.
    this.lastAtMs = Math.max(this.lastAtMs, nowMs);
    const lastIndex = entries.at(-1)?.index;
    for (const { index, command } of entries) {
      if (index < this.following) continue;
      if (index !== this.following) {
        throw new BackupError('SOURCE_CUT', `entry ${index} came where ${this.following} was due`);
      }
      this.check = index === lastIndex ? lastCheck : undefined;
      const check = this.check === undefined ? {} : { check: this.check };
      const record: EntryRecord = { kind: 'entry', index, atMs: this.lastAtMs, command, ...check };
      this.entries.push(record);
      this.bytes += recordBytes(record);
      this.held.add(recordBytes(record) + ENTRY_OVERHEAD_BYTES);
      this.following++;
    }
  }

  /** The piece was stored, or is given up. */
  clear(): void {
    this.held.release(this.bytes + this.entries.length * ENTRY_OVERHEAD_BYTES);
    this.entries = [];
    this.bytes = 0;
  }

  /** The log begins here, and nothing of what was gathered is left. */
  goOnAt(revision: number): void {
    this.following = revision;
    this.check = undefined;
  }
}
