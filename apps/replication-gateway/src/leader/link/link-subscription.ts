/**
 * One table that an attached gateway follows: what comes of its log, until it is sent.
 *
 *   in line --place--> reading --caught up, all sent--> waiting for more
 *      ^                  |                                |
 *      \--turn is over----/<----------something came-------/--no place: it is let go--> in line
 *
 * In: the log of the table, from the nodes. Out: entries in order, taken a message at a time, and one end. Its
 * log is not read while what lies here is not sent, and nothing lies here without a place. Checks of entries
 * are passed on as they come: of the last one of each chunk, so messages end there where they can.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type hot, linkV1 } from '@flotilla/proto';
import { type Feed, type LogChunk } from '../../nodes/feed.js';
import { type KnownTable } from '../../nodes/table-directory.js';
import { shownCheck } from '../../shown-check.js';
import {
  FEED_CHUNK_BYTES_MAX,
  PLACE_TURN_BYTES_MAX,
  SUBSCRIPTION_BYTES_MAX,
} from './link-limits.js';
import { type StreamPlaces } from './link-places.js';
import { WakeUp } from './wake-up.js';

const { COMPACTED, DIVERGED, FAILED, LEADER_BEHIND, OTHER_TABLE } = linkV1.SubscriptionEnd_Reason;

export interface SubscriptionHost {
  readonly feed: Pick<Feed, 'followLog'>;
  readonly places: StreamPlaces;
  /** There are entries to take, or there is an end to tell. */
  onReady(subscription: LinkSubscription): void;
  /** The log of the table is longer than was known. */
  onRevision(subscription: LinkSubscription): void;
  /** Something went wrong that its subscriber is not told. */
  onFailure(subscription: LinkSubscription, error: unknown): void;
}

/** Where a subscription begins. */
export interface LogPlace {
  readonly from: number;
  /** Of the entry before it; undefined if it is not known. */
  readonly previousCheck: bigint | undefined;
}

/** The next entries, with the check of the last one, if that is known. */
export interface TakenEntries {
  readonly entries: readonly hot.ReceivedEntry[];
  readonly bytes: number;
  readonly lastCheck: bigint | undefined;
}

interface WaitingEntry extends hot.ReceivedEntry {
  readonly check?: bigint | undefined;
}

export type SubscriptionEndFields = Omit<linkV1.SubscriptionEnd, 'subscription'>;

export class LinkSubscription {
  /** Newest revision of the table that is known here. */
  leaderRevision = 0;
  private waiting: WaitingEntry[] = [];
  private waitingBytes = 0;
  private next: number;
  /** Of the entry before that. */
  private previousCheck: bigint | undefined;
  private ended: SubscriptionEndFields | undefined;
  private hasPlace = false;
  private turnBytes = 0;
  private readonly stopping = new AbortController();
  private readonly taken = new WakeUp(this.stopping.signal);

  constructor(
    readonly id: number,
    readonly table: KnownTable,
    { from, previousCheck }: LogPlace,
    private readonly host: SubscriptionHost,
  ) {
    this.next = from;
    this.previousCheck = previousCheck;
  }

  get hasEntries(): boolean {
    return this.waiting.length > 0;
  }

  /** Why it has ended; to be told once its entries are sent. */
  get end(): SubscriptionEndFields | undefined {
    return this.ended;
  }

  /** Bytes of commands that lie here. */
  get heldBytes(): number {
    return this.waitingBytes;
  }

  /** Settles when there is nothing more to read. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.stopping;
    try {
      while (!signal.aborted && this.ended === undefined) {
        await this.follow();
        await this.sent();
        this.leavePlace();
        if (signal.aborted || this.ended !== undefined) break;
        // It was let go because somebody else had the place.
        this.hasPlace = await this.host.places.take(signal);
      }
    } catch (error) {
      if (!signal.aborted) this.finish(this.endOf(error));
    } finally {
      await this.sent();
      this.leavePlace();
    }
  }

  /** The next entries, of so many bytes of commands; one is taken in any case. */
  take(bytesMax: number): TakenEntries {
    const { count, bytes } = this.due(bytesMax);
    const entries = this.waiting.splice(0, count);
    const lastCheck = entries.at(-1)?.check;
    this.waitingBytes -= bytes;
    if (this.waiting.length === 0) {
      if (!this.isBehind) this.leavePlace();
      this.taken.raise();
    }
    return { entries, bytes, lastCheck };
  }

  /** Up to the last entry of a chunk, if one is within the bytes. */
  private due(bytesMax: number): { readonly count: number; readonly bytes: number } {
    let within = { count: 0, bytes: 0 };
    let whole = within;
    for (const { command, check } of this.waiting) {
      const bytes = within.bytes + command.length;
      if (within.count > 0 && bytes > bytesMax) return whole.count > 0 ? whole : within;
      within = { count: within.count + 1, bytes };
      if (check !== undefined) whole = within;
    }
    return within;
  }

  /** Nobody wants it any more. Idempotent. */
  stop(): void {
    this.waiting = [];
    this.waitingBytes = 0;
    this.stopping.abort();
  }

  /** Reads for as long as it may. */
  private async follow(): Promise<void> {
    const { signal } = this.stopping;
    const { host, table } = this;
    const { previousCheck } = this;
    const options = { signal, chunkBytesMax: FEED_CHUNK_BYTES_MAX, previousCheck };
    this.turnBytes = 0;
    for await (const chunk of host.feed.followLog(table, this.next, options)) {
      if (signal.aborted || !this.add(chunk)) return;
      if (this.waitingBytes < SUBSCRIPTION_BYTES_MAX) continue;
      await this.sent();
      if (this.isBehind && this.turnIsOver) return;
      if (this.isBehind && !this.ensurePlace()) return;
    }
  }

  /** False if no more is to be read now. */
  private add(chunk: LogChunk): boolean {
    const { position, entries, appliedIndex, compacted, firstIndex, diverged } = chunk;
    const isNews = appliedIndex > this.leaderRevision;
    if (isNews) {
      this.leaderRevision = appliedIndex;
      this.host.onRevision(this);
    }
    if (position && appliedIndex + 1 < this.next) {
      const message = `the log ends at revision ${appliedIndex}`;
      return this.finish({ reason: LEADER_BEHIND, message, first: 0n });
    }
    const newest = entries.at(-1);
    if (newest !== undefined && this.ensurePlace()) {
      const check = chunk.lastCheck;
      for (const entry of entries) {
        this.waiting.push(entry === newest ? { ...entry, check } : entry);
        this.waitingBytes += entry.command.length;
        this.turnBytes += entry.command.length;
      }
      this.next = newest.index + 1;
      this.previousCheck = check;
      this.host.onReady(this);
    }
    if (compacted) {
      const message = `the log begins at revision ${firstIndex}`;
      return this.finish({ reason: COMPACTED, message, first: BigInt(firstIndex) });
    }
    if (diverged === true) return this.finish(this.divergedEnd(chunk.lastCheck));
    return !this.isBehind || (this.ensurePlace() && !this.turnIsOver);
  }

  private divergedEnd(check: bigint | undefined): SubscriptionEndFields {
    const own = check === undefined ? 'another term' : `check ${shownCheck(check)}`;
    const message = `the entry at revision ${this.next - 1} has ${own} in the leader cluster`;
    return { reason: DIVERGED, message, first: 0n };
  }

  private get isBehind(): boolean {
    return this.next <= this.leaderRevision;
  }

  private get turnIsOver(): boolean {
    return this.turnBytes >= PLACE_TURN_BYTES_MAX && this.host.places.isContended;
  }

  private ensurePlace(): boolean {
    if (!this.hasPlace) this.hasPlace = this.host.places.tryTake();
    return this.hasPlace;
  }

  private leavePlace(): void {
    if (!this.hasPlace) return;
    this.hasPlace = false;
    this.host.places.release();
  }

  /** Settles once nothing lies here any more. */
  private async sent(): Promise<void> {
    while (this.hasEntries) await this.taken.wait();
  }

  private finish(end: SubscriptionEndFields): false {
    this.ended ??= end;
    this.host.onReady(this);
    return false;
  }

  private endOf(error: unknown): SubscriptionEndFields {
    if (!(error instanceof GrpcStatusError)) {
      this.host.onFailure(this, error);
      return { reason: FAILED, message: 'internal error', first: 0n };
    }
    const { code, message } = error;
    const isOther = code === status.NOT_FOUND || code === status.FAILED_PRECONDITION;
    return { reason: isOther ? OTHER_TABLE : FAILED, message, first: 0n };
  }
}
