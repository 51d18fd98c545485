/**
 * The log of one table, as it comes on the stream that all tables share.
 *
 *   entries --> queue --> reader (one message at a time) --> applied --> credit
 *
 * In: entries and what else the leader cluster says of the table. Out: messages at the pace of the
 * reader, who says what it has applied. Bytes are held from when they came until then; whatever the
 * reader leaves behind is let go when it leaves.
 */
import { type hot, mvccV1 } from '@flotilla/proto';
import { type LeaderTable, type LogMessage } from '../ports.js';

/** A table that holds its share, and has not moved for so long, keeps others from getting theirs. */
export const STUCK_MS = 1_000;

const NOTHING: LogMessage = { kind: 'commands', entries: [], error: 0, leaderIndex: 0 };

export interface SubscriptionOwner {
  /** So many bytes are held no more. */
  release(bytes: number): void;
  /** The reader is gone. */
  closed(subscription: LinkSubscription): void;
}

type End = { readonly message: LogMessage } | { readonly error: Error };

export class LinkSubscription {
  private queue: Held[] = [];
  /** Read, and not applied yet. */
  private taken: Held[] = [];
  /** Bytes of both. */
  private held = 0;
  private movedAtMs: number;
  /** Where the leader cluster stands; only the last word counts. */
  private notice: LogMessage | undefined;
  private end: End | undefined;
  private wake: (() => void) | undefined;
  private isClosed = false;

  constructor(
    readonly number: number,
    readonly of: LeaderTable,
    private readonly owner: SubscriptionOwner,
    private readonly nowMs: () => number,
    /** Its share of the window. */
    private readonly shareBytes: number,
  ) {
    this.movedAtMs = nowMs();
  }

  /** Whether it holds much, and nothing of it was applied for a while. */
  get isStuck(): boolean {
    return this.held > this.shareBytes && this.nowMs() - this.movedAtMs >= STUCK_MS;
  }

  push(received: readonly hot.ReceivedEntry[], { lastCheck, ...place }: EntriesPlace): void {
    const entries = received.map((entry) => this.asApplied(entry));
    const bytes = bytesOf(received);
    if (this.isClosed || this.end) return this.owner.release(bytes);
    if (this.held === 0) this.movedAtMs = this.nowMs();
    this.held += bytes;
    const message = { kind: 'commands', entries, error: 0, ...place, lastCheck } as const;
    this.queue.push({ message, bytes, lastIndex: entries.at(-1)?.index ?? 0 });
    this.wake?.();
  }

  /** Tells where the log stands without anything new of it. */
  note({ leaderIndex, leaderClockMs }: LeaderPlace): void {
    this.notice = { ...NOTHING, leaderIndex, leaderClockMs };
    this.wake?.();
  }

  /** What came before is still read. */
  finish(end: End): void {
    this.end ??= end;
    this.wake?.();
  }

  /** What was not read yet is let go, to be asked for again. */
  pause(): void {
    const left = this.queue;
    this.queue = [];
    this.letGo(left);
    this.finish({ message: { ...NOTHING, kind: 'final' } });
  }

  /** Everything up to this index is in the copy. */
  applied(index: number): void {
    if (this.isClosed) return;
    this.movedAtMs = this.nowMs();
    const done = this.taken.filter(({ lastIndex }) => lastIndex <= index);
    this.taken = this.taken.filter(({ lastIndex }) => lastIndex > index);
    this.letGo(done);
  }

  /** The next message; undefined after the last one. One call at a time. */
  async next(): Promise<LogMessage | undefined> {
    for (;;) {
      if (this.isClosed) return undefined;
      const message = this.take();
      if (message) return message;
      if (this.end) {
        const { end } = this;
        this.close();
        if ('error' in end) throw end.error;
        return end.message;
      }
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  /** Idempotent. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.letGo([...this.taken, ...this.queue]);
    this.queue = [];
    this.taken = [];
    this.owner.closed(this);
    this.wake?.();
  }

  private take(): LogMessage | undefined {
    const first = this.queue.shift();
    if (first) {
      this.taken.push(first);
      return first.message;
    }
    const { notice } = this;
    this.notice = undefined;
    return notice;
  }

  /** A command as copies take it. One that is empty moves the copy on, and does nothing else. */
  private asApplied({ index, command }: hot.ReceivedEntry): hot.ReceivedEntry {
    if (command.length > 0) return { index, command: withLeaderIndex(command, index) };
    const fields = { table: Buffer.from(this.of.table), type: DUMMY, leaderIndex: BigInt(index) };
    const dummy = mvccV1.Command.encode(mvccV1.Command.fromPartial(fields)).finish();
    return { index, command: Buffer.from(dummy) };
  }

  private letGo(messages: readonly Held[]): void {
    const bytes = messages.reduce((sum, one) => sum + one.bytes, 0);
    this.held -= bytes;
    if (bytes > 0) this.owner.release(bytes);
  }
}

interface Held {
  readonly message: LogMessage;
  readonly bytes: number;
  readonly lastIndex: number;
}

export interface LeaderPlace {
  readonly leaderIndex: number;
  readonly leaderClockMs: number;
}

export interface EntriesPlace extends LeaderPlace {
  /** Of the last entry, if it is known. */
  readonly lastCheck?: bigint | undefined;
}

/** Bytes of commands, as credit counts them. */
export function bytesOf(entries: readonly { readonly command: Uint8Array }[]): number {
  return entries.reduce((sum, { command }) => sum + command.length, 0);
}

const { DUMMY } = mvccV1.Command_CommandType;
/** Field 5 of a command, a number. */
const LEADER_INDEX_TAG = 0x28;

/** The last field of a kind is the one that counts. */
function withLeaderIndex(command: Buffer, index: number): Buffer {
  const field = [LEADER_INDEX_TAG];
  let rest = index;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) field.push((rest % 0x80) | 0x80);
  field.push(rest);
  return Buffer.concat([command, Buffer.from(field)]);
}
