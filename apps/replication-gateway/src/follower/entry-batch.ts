/**
 * Commands of the leader cluster's log, gathered until they are worth an entry of the copy's log.
 *
 * In: entries, which must follow each other without a gap. Out: a batch that is due, by its bytes,
 * its number or its age, with the check of its last entry, which only the last one of a message has. Pure:
 * time comes with the call.
 */
import { type hot } from '@flotilla/proto';

/** Bytes of commands in a batch; one command that is larger goes alone. */
export const BATCH_BYTES_MAX = 1024 * 1024;
export const BATCH_COMMANDS_MAX = 16_384;
/** How long the first command of a batch waits for others. */
export const BATCH_MS_MAX = 2;

export interface GatheredBatch {
  readonly commands: readonly Buffer[];
  readonly bytes: number;
  readonly lastIndex: number;
  readonly lastCheck: bigint | undefined;
}

/** The leader cluster has not sent what it must: applying it would lose something. */
export class LogGapError extends Error {
  override readonly name = 'LogGapError';
}

export class EntryBatch {
  private commands: Buffer[] = [];
  private bytes = 0;
  private sinceMs = 0;
  private last = 0;
  private lastCheck: bigint | undefined;

  /** `next` is the index that has to come, or the first that may, where some are left out. */
  constructor(
    private next: number,
    private readonly mayLeaveOut = false,
  ) {}

  get isEmpty(): boolean {
    return this.commands.length === 0;
  }

  /** Whether so many bytes of so many entries have to wait for the next batch. */
  isFullFor(bytes: number, commands = 1): boolean {
    if (this.isEmpty) return false;
    const isLong = this.commands.length + commands > BATCH_COMMANDS_MAX;
    return isLong || this.bytes + bytes > BATCH_BYTES_MAX;
  }

  /** Throws LogGapError for any other index than the next one, or for one that does not grow. */
  add({ index, command }: hot.ReceivedEntry, nowMs: number): void {
    if (index < this.next || (index > this.next && !this.mayLeaveOut)) {
      throw new LogGapError(`entry ${index} came where ${this.next} was due`);
    }
    this.next = index + 1;
    // Of an entry without a command there is nothing to apply.
    if (command.length === 0 && this.mayLeaveOut) return;
    if (this.isEmpty) this.sinceMs = nowMs;
    this.last = index;
    this.lastCheck = undefined;
    this.commands.push(command);
    this.bytes += command.length;
  }

  /** Of the entry that was added last. */
  check(check: bigint | undefined): void {
    if (this.last === this.next - 1) this.lastCheck = check;
  }

  /** Until a batch that is not empty is due by its age. */
  leftMs(nowMs: number): number {
    return Math.max(0, this.sinceMs + BATCH_MS_MAX - nowMs);
  }

  take(): GatheredBatch {
    const { commands, bytes, last: lastIndex, lastCheck } = this;
    this.commands = [];
    this.bytes = 0;
    return { commands, bytes, lastIndex, lastCheck };
  }
}
