/**
 * One attached gateway: what it asks for, and what it is sent.
 *
 *   requests --> subscriptions, credit
 *   logs --> subscriptions --(a message each, in turn, while there is credit)--> messages
 *   tables, ends, heartbeats ---------------------------------------------------> messages, first
 *
 * Messages go out one by one, at the pace of the reader. Commands are never sent without credit; the last
 * command may exceed it. A stream without news sends a heartbeat, however many tables it follows.
 */
import { type CallContext, GrpcStatusError, type MessageSink, status } from '@flotilla/grpc';
import { type Logger } from '@flotilla/platform';
import { hot, linkV1 } from '@flotilla/proto';
import { type GatewayClock } from '../../gateway-clock.js';
import { type Feed } from '../../nodes/feed.js';
import { type TableDirectory } from '../../nodes/table-directory.js';
import { PacedSink } from '../paced-sink.js';
import { type ReplicationMetrics } from '../replication-metrics.js';
import { invalid, type LinkRequest, readRequest } from './attach-request.js';
import { ENDS_WAITING_MAX, LINK_SUBSCRIPTIONS_MAX } from './link-limits.js';
import { type StreamPlaces } from './link-places.js';
import { LinkSubscription, type SubscriptionHost } from './link-subscription.js';
import { TableView } from './table-view.js';
import { WakeUp } from './wake-up.js';

export interface LinkParts {
  readonly feed: Pick<Feed, 'followLog'>;
  readonly directory: Pick<TableDirectory, 'isKnown' | 'cluster' | 'ids' | 'findById' | 'onChange'>;
  readonly clock: GatewayClock;
  readonly metrics: Pick<ReplicationMetrics, 'commands'>;
  readonly logger: Pick<Logger, 'error'>;
  readonly heartbeatMs: number;
  /** Bytes of commands in one message. */
  readonly entriesBytesMax: number;
}

type Kind = NonNullable<linkV1.AttachMessage['kind']>;
type Subscribe = Extract<LinkRequest, { kind: 'subscribe' }>;

const { FAILED, LEADER_BEHIND, OTHER_TABLE } = linkV1.SubscriptionEnd_Reason;

export class LinkStream implements SubscriptionHost {
  readonly feed: Pick<Feed, 'followLog'>;
  private readonly over = new AbortController();
  private readonly work = new WakeUp(this.over.signal);
  private readonly roomForEnds = new WakeUp(this.over.signal);
  private readonly subscriptions = new Map<number, LinkSubscription>();
  private readonly runs = new Set<Promise<void>>();
  /** Those with something to send; the first one is next. */
  private readonly ready = new Set<LinkSubscription>();
  /** Those whose revision is to be told with the next heartbeat. */
  private readonly advanced = new Set<LinkSubscription>();
  private readonly ends: linkV1.SubscriptionEnd[] = [];
  private readonly view: TableView;
  private readonly paced: PacedSink;
  private welcome: Kind | undefined;
  private heartbeatIsDue = false;

  constructor(
    private readonly parts: LinkParts,
    readonly places: StreamPlaces,
    private readonly call: CallContext,
    sink: MessageSink,
    private credit: number,
  ) {
    const { directory, clock, heartbeatMs } = parts;
    this.feed = parts.feed;
    this.paced = new PacedSink(sink, clock);
    this.view = new TableView(directory);
    const clusterId = directory.cluster?.id ?? '';
    const generation = BigInt(directory.cluster?.generation ?? 0);
    const value = { clusterId, generation, heartbeatMs: BigInt(heartbeatMs) };
    this.welcome = { $case: 'welcome', value };
  }

  get subscriptionCount(): number {
    return this.subscriptions.size;
  }

  /** Bytes of commands that lie here. */
  get heldBytes(): number {
    let bytes = 0;
    for (const subscription of this.subscriptions.values()) bytes += subscription.heldBytes;
    return bytes;
  }

  /** Settles when the other end says no more. Rejects with why it ended otherwise. */
  async run(requests: AsyncIterator<Buffer, unknown>): Promise<void> {
    const forget = this.parts.directory.onChange((ids) => {
      this.view.changed(ids);
      this.work.raise();
    });
    const parts = [this.read(requests), this.send(), this.beat(), this.closed()];
    try {
      await Promise.race(parts);
    } finally {
      forget();
      this.over.abort();
      for (const subscription of this.subscriptions.values()) subscription.stop();
      // Whoever still waits for a request does not get any. A reader that is stuck is not waited for.
      await requests.return?.();
      await Promise.all(this.runs);
    }
  }

  /** Ends it from this side. Idempotent. */
  close(reason: GrpcStatusError): void {
    this.over.abort(reason);
  }

  // ---- what subscriptions tell -------------------------------------------------------------------

  onReady(subscription: LinkSubscription): void {
    this.ready.add(subscription);
    this.work.raise();
  }

  onRevision(subscription: LinkSubscription): void {
    this.advanced.add(subscription);
  }

  onFailure({ table }: LinkSubscription, error: unknown): void {
    const fields = { err: error, table: table.name };
    this.parts.logger.error(fields, 'the log of a table could not be followed');
  }

  // ---- in ----------------------------------------------------------------------------------------

  private async read(requests: AsyncIterator<Buffer, unknown>): Promise<void> {
    for (;;) {
      while (this.ends.length >= ENDS_WAITING_MAX && !this.over.signal.aborted) {
        await this.roomForEnds.wait();
      }
      const next = await requests.next();
      if (next.done === true || this.over.signal.aborted) return;
      const request = readRequest(next.value);
      if (request.kind === 'credit') this.grant(request.bytes);
      else if (request.kind === 'subscribe') this.subscribe(request);
      else this.unsubscribe(request.subscription);
    }
  }

  private grant(bytes: number): void {
    const credit = this.credit + bytes;
    if (!Number.isSafeInteger(credit)) throw invalid('credit.bytes must add up to less than 2^53');
    this.credit = credit;
    this.work.raise();
  }

  private subscribe(request: Subscribe): void {
    const { subscription: id, tableId, epoch, from, previousCheck } = request;
    if (this.subscriptions.has(id)) {
      throw invalid(`subscribe.subscription ${id} is in use`);
    }
    if (this.subscriptions.size >= LINK_SUBSCRIPTIONS_MAX) {
      return this.refuse(id, FAILED, `${LINK_SUBSCRIPTIONS_MAX} tables are followed already`);
    }
    const table = this.parts.directory.findById(Number(tableId));
    if (table === undefined || BigInt(table.epoch) !== epoch) {
      // Another gateway may have heard of a table that is new before this one.
      const isNewer = table === undefined ? this.isUnheardOf(tableId) : epoch > BigInt(table.epoch);
      const message = `there is no table ${tableId} in epoch ${epoch}`;
      return this.refuse(id, isNewer ? FAILED : OTHER_TABLE, message);
    }
    if (from === Infinity) return this.refuse(id, LEADER_BEHIND, 'no log is as long as that');
    const subscription = new LinkSubscription(id, table, { from, previousCheck }, this);
    this.subscriptions.set(id, subscription);
    const run = subscription.run().finally(() => this.runs.delete(run));
    this.runs.add(run);
  }

  private unsubscribe(id: number): void {
    const subscription = this.subscriptions.get(id);
    if (subscription) this.drop(subscription);
  }

  private drop(subscription: LinkSubscription): void {
    subscription.stop();
    this.subscriptions.delete(subscription.id);
    this.ready.delete(subscription);
    this.advanced.delete(subscription);
  }

  /** Ids grow: what is above all that are known may be told of any moment. */
  private isUnheardOf(tableId: bigint): boolean {
    if (!this.parts.directory.isKnown) return true;
    for (const id of this.parts.directory.ids()) if (BigInt(id) >= tableId) return false;
    return true;
  }

  private refuse(id: number, reason: linkV1.SubscriptionEnd_Reason, message: string): void {
    this.ends.push({ subscription: BigInt(id), reason, message, first: 0n });
    this.work.raise();
  }

  // ---- out ---------------------------------------------------------------------------------------

  private async send(): Promise<void> {
    while (!this.over.signal.aborted) {
      const kind = this.nextNotice();
      const message = kind ? linkV1.AttachMessage.encode({ kind }).finish() : this.nextEntries();
      if (message) await this.paced.send(message);
      else await this.work.wait();
    }
  }

  private async beat(): Promise<void> {
    const { clock, heartbeatMs } = this.parts;
    while (!this.over.signal.aborted) {
      await clock.sleep(heartbeatMs, this.over.signal);
      this.heartbeatIsDue = true;
      this.work.raise();
    }
  }

  /** Rejects when the call is over, or is ended from this side. */
  private closed(): Promise<never> {
    const { over, call } = this;
    return new Promise((_, reject) => {
      const end = (): void => reject(endReason(over.signal) ?? endReason(call.signal) ?? cut());
      over.signal.addEventListener('abort', end, { once: true });
      call.signal.addEventListener('abort', end, { once: true });
      if (over.signal.aborted || call.signal.aborted) end();
    });
  }

  /** Everything but commands. */
  private nextNotice(): Kind | undefined {
    const { welcome } = this;
    if (welcome) {
      this.welcome = undefined;
      return welcome;
    }
    const tables = this.view.take();
    if (tables) return { $case: 'tables', value: tables };
    const end = this.ends.shift();
    if (end) {
      this.roomForEnds.raise();
      return { $case: 'end', value: end };
    }
    if (!this.heartbeatIsDue) return undefined;
    this.heartbeatIsDue = false;
    const revisions = [...this.advanced].map(({ table, leaderRevision }) => ({
      tableId: BigInt(table.id),
      revision: BigInt(leaderRevision),
    }));
    this.advanced.clear();
    const leaderClockMs = BigInt(this.parts.clock.wallMs());
    return { $case: 'heartbeat', value: { leaderClockMs, revisions } };
  }

  /** Of the subscription whose turn it is; undefined if there is nothing that may be sent. */
  private nextEntries(): Uint8Array | undefined {
    for (const subscription of this.ready) {
      if (!subscription.hasEntries) {
        this.ready.delete(subscription);
        const { end } = subscription;
        if (end === undefined) continue;
        this.drop(subscription);
        const value = { ...end, subscription: BigInt(subscription.id) };
        return linkV1.AttachMessage.encode({ kind: { $case: 'end', value } }).finish();
      }
      if (this.credit <= 0) continue;
      this.ready.delete(subscription);
      this.ready.add(subscription);
      return this.entriesOf(subscription);
    }
    return undefined;
  }

  private entriesOf(subscription: LinkSubscription): Uint8Array {
    const { clock, metrics, entriesBytesMax } = this.parts;
    const { entries, bytes, lastCheck } = subscription.take(Math.min(entriesBytesMax, this.credit));
    this.credit -= bytes;
    this.advanced.delete(subscription);
    const message = hot.encodeLinkEntries({
      subscription: subscription.id,
      entries,
      leaderRevision: subscription.leaderRevision,
      leaderClockMs: clock.wallMs(),
      lastCheck,
    });
    metrics.commands(subscription.table.name, entries.length, message.length);
    return message;
  }
}

function endReason(signal: AbortSignal): GrpcStatusError | undefined {
  const reason: unknown = signal.reason;
  return reason instanceof GrpcStatusError ? reason : undefined;
}

function cut(): GrpcStatusError {
  return new GrpcStatusError(status.CANCELLED, 'the call has ended');
}
