/**
 * One table that an attached gateway follows: what comes of its log, until it is sent.
 *
 *   in line --place--> reading --caught up, all sent--> waiting for more
 *      ^                  |                                |
 *      \--turn is over----/<----------something came-------/--no place: it is let go--> in line
 *
 * In: the log of the table, from the nodes. Out: entries in order, taken a message at a time, and one end. Its
 * log is not read while what lies here is not sent, and nothing lies here without a place.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type hot, linkV1 } from '@flotilla/proto';
import { type Feed, type LogChunk } from '../../nodes/feed.js';
import { type KnownTable } from '../../nodes/table-directory.js';
import {
  FEED_CHUNK_BYTES_MAX,
  PLACE_TURN_BYTES_MAX,
  SUBSCRIPTION_BYTES_MAX,
} from './link-limits.js';
import { type StreamPlaces } from './link-places.js';
import { WakeUp } from './wake-up.js';

const { COMPACTED, FAILED, LEADER_BEHIND, OTHER_TABLE } = linkV1.SubscriptionEnd_Reason;

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

export type SubscriptionEndFields = Omit<linkV1.SubscriptionEnd, 'subscription'>;

export class LinkSubscription {
  /** Newest revision of the table that is known here. */
  leaderRevision = 0;
  private waiting: hot.ReceivedEntry[] = [];
  private waitingBytes = 0;
  private next: number;
  private ended: SubscriptionEndFields | undefined;
  private hasPlace = false;
  private turnBytes = 0;
  private readonly stopping = new AbortController();
  private readonly taken = new WakeUp(this.stopping.signal);

  constructor(
    readonly id: number,
    readonly table: KnownTable,
    from: number,
    private readonly host: SubscriptionHost,
  ) {
    this.next = from;
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
  take(bytesMax: number): { readonly entries: hot.ReceivedEntry[]; readonly bytes: number } {
    let count = 0;
    let bytes = 0;
    for (const { command } of this.waiting) {
      if (count > 0 && bytes + command.length > bytesMax) break;
      count++;
      bytes += command.length;
    }
    const entries = this.waiting.splice(0, count);
    this.waitingBytes -= bytes;
    if (this.waiting.length === 0) {
      if (!this.isBehind) this.leavePlace();
      this.taken.raise();
    }
    return { entries, bytes };
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
    const options = { signal, chunkBytesMax: FEED_CHUNK_BYTES_MAX };
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
    const { position, entries, appliedIndex, compacted, firstIndex } = chunk;
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
      for (const entry of entries) {
        this.waiting.push(entry);
        this.waitingBytes += entry.command.length;
        this.turnBytes += entry.command.length;
      }
      this.next = newest.index + 1;
      this.host.onReady(this);
    }
    if (compacted) {
      const message = `the log begins at revision ${firstIndex}`;
      return this.finish({ reason: COMPACTED, message, first: BigInt(firstIndex) });
    }
    return !this.isBehind || (this.ensurePlace() && !this.turnIsOver);
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
