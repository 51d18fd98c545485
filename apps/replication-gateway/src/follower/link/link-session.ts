/**
 * One stream to a gateway of the leader cluster, from the first word to its end.
 *
 *   hello --> welcome --> tables, entries, heartbeats ... --silence, loss, stop--> over
 *
 * In: subscriptions. Out: tables as they are told, the messages of each subscription. A stream on
 * which nothing comes is dead, whether or not its connection knows. It never outlives its window:
 * more than that is held of all tables together in no case.
 */
import { type GrpcClient, GrpcStatusError, status } from '@flotilla/grpc';
import { hot, linkV1, replicationV1 } from '@flotilla/proto';
import { type GatewayClock } from '../../gateway-clock.js';
import {
  type Generation,
  type LeaderTable,
  type LogStart,
  type StandingListener,
} from '../ports.js';
import { CREDIT_BYTES, CreditWindow } from './credit-window.js';
import { LinkRequests } from './link-requests.js';
import { bytesOf, LinkSubscription, STUCK_MS } from './link-subscription.js';
import { OtherTableError } from './other-table-error.js';

const ATTACH = '/flotilla.replication.v1.Link/Attach';
const WELCOME_MS = 5_000;
/** Heartbeats that may be missing. */
const SILENT_HEARTBEATS = 3;
const HEARTBEAT_MS_MIN = 50;
const HEARTBEAT_MS_MAX = 60_000;
const CHECK_MS = 250;

export interface SessionEvents {
  /** Throws if it must not be followed. */
  welcomed(generation: Generation): Promise<void>;
  tables(change: linkV1.AttachMessage['kind'] & { $case: 'tables' }): void;
}

export interface SessionParts {
  readonly client: GrpcClient;
  readonly clock: GatewayClock;
  readonly hello: Omit<linkV1.AttachHello, 'creditBytes'>;
  readonly messageBytesMax: number;
  readonly events: SessionEvents;
  /** Told where logs stand before their readers are, who may be busy. */
  readonly standing?: StandingListener;
  readonly creditBytes?: number;
}

const { SubscriptionEnd_Reason: Reason } = linkV1;
const { LEADER_BEHIND, USE_SNAPSHOT } = replicationV1.ReplicateError;

export class LinkSession {
  private readonly requests = new LinkRequests();
  private readonly over = new AbortController();
  private readonly credit: CreditWindow;
  private readonly subscriptions = new Map<number, LinkSubscription>();
  /** Revisions of tables as they were told last, by id. */
  private readonly revisions = new Map<number, number>();
  /** Tables whose readers do not know yet where their logs stand. */
  private readonly unnoted = new Set<number>();
  private lastNumber = 0;
  private heartbeatMs: number | undefined;
  private heardAtMs: number;
  private silence: Error | undefined;

  constructor(private readonly parts: SessionParts) {
    this.credit = new CreditWindow(parts.creditBytes ?? CREDIT_BYTES, parts.messageBytesMax);
    this.heardAtMs = parts.clock.nowMs();
  }

  get heldBytes(): number {
    return this.credit.heldBytes;
  }

  /** Whether the other end has said who it is, and may be followed. */
  get isWelcomed(): boolean {
    return this.heartbeatMs !== undefined;
  }

  /** Resolves when it was ended from here; rejects with why it ended. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, hello } = this.parts;
    const stop = () => this.over.abort();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const creditBytes = BigInt(this.credit.bytesMax);
    this.requests.send({ $case: 'hello', value: { ...hello, creditBytes } });
    const watching = this.watch();
    try {
      const messages = client.bidi(ATTACH, this.requests, { signal: this.over.signal });
      for await (const bytes of messages) await this.take(bytes);
      throw new GrpcStatusError(status.UNAVAILABLE, 'the stream was ended by the leader cluster');
    } catch (error) {
      if (!signal.aborted) throw this.silence ?? error;
    } finally {
      signal.removeEventListener('abort', stop);
      this.end();
      await watching;
    }
  }

  subscribe(of: LeaderTable, { from, previousCheck }: LogStart): LinkSubscription {
    const { tableId, epoch } = of.source;
    const number = ++this.lastNumber;
    const nowMs = () => this.parts.clock.nowMs();
    const owner = {
      release: (bytes: number) => this.release(bytes),
      closed: () => this.unsubscribe(number),
    };
    const subscription = new LinkSubscription(number, of, owner, nowMs, this.credit.shareBytes);
    this.subscriptions.set(number, subscription);
    this.unnoted.add(tableId);
    this.parts.standing?.left(of.table);
    const value = { tableId: BigInt(tableId), epoch: BigInt(epoch), from: BigInt(from) };
    const named = { ...value, subscription: BigInt(number), previousCheck };
    this.requests.send({ $case: 'subscribe', value: named });
    return subscription;
  }

  private end(): void {
    this.over.abort();
    this.requests.close();
    const error = new GrpcStatusError(
      status.UNAVAILABLE,
      'the stream to the leader cluster is over',
    );
    for (const one of this.subscriptions.values()) {
      this.parts.standing?.left(one.of.table);
      one.finish({ error });
    }
    this.subscriptions.clear();
  }

  private unsubscribe(number: number): void {
    const one = this.subscriptions.get(number);
    if (!one) return;
    this.subscriptions.delete(number);
    this.parts.standing?.left(one.of.table);
    const value = { subscription: BigInt(number) };
    this.requests.send({ $case: 'unsubscribe', value });
  }

  private release(bytes: number): void {
    const credit = this.credit.done(bytes);
    if (credit > 0) this.requests.giveCredit(credit);
  }

  /** Looks for silence, and for tables that hold what others need. */
  private async watch(): Promise<void> {
    const { clock } = this.parts;
    while (!this.over.signal.aborted) {
      await clock.sleep(Math.min(CHECK_MS, STUCK_MS), this.over.signal);
      const { heartbeatMs } = this;
      const silentMs = heartbeatMs === undefined ? WELCOME_MS : heartbeatMs * SILENT_HEARTBEATS;
      if (clock.nowMs() - this.heardAtMs >= silentMs) {
        this.silence = new GrpcStatusError(status.UNAVAILABLE, `nothing came for ${silentMs} ms`);
        this.over.abort();
      }
      for (const [number, one] of this.subscriptions) {
        if (!one.isStuck) continue;
        this.unsubscribe(number);
        one.pause();
      }
    }
  }

  private async take(bytes: Buffer): Promise<void> {
    this.heardAtMs = this.parts.clock.nowMs();
    if (this.isWelcomed) {
      const message = hot.decodeLinkEntries(bytes);
      if (message) return this.entries(message);
    }
    const { kind } = linkV1.AttachMessage.decode(bytes);
    if (!this.isWelcomed) {
      if (kind?.$case !== 'welcome') throw garbled('a stream does not begin with a welcome');
      return this.welcomed(kind.value);
    }
    switch (kind?.$case) {
      case 'entries':
        return this.entries(plain(kind.value));
      case 'heartbeat':
        return this.heartbeat(kind.value);
      case 'end':
        return this.ended(kind.value);
      case 'tables':
        for (const { id, revision } of kind.value.tables) {
          if (this.moved(Number(id), Number(revision))) this.unnoted.add(Number(id));
        }
        for (const id of kind.value.deletedTables) this.revisions.delete(Number(id));
        return this.parts.events.tables(kind);
      case 'welcome':
        throw garbled('a second welcome');
      // What only newer leader clusters say.
      case undefined:
    }
  }

  private async welcomed(welcome: linkV1.AttachWelcome): Promise<void> {
    const { clusterId, generation } = welcome;
    const heartbeatMs = Number(welcome.heartbeatMs);
    if (heartbeatMs < HEARTBEAT_MS_MIN || heartbeatMs > HEARTBEAT_MS_MAX) {
      throw garbled(`heartbeat_ms is ${heartbeatMs}`);
    }
    await this.parts.events.welcomed({ number: Number(generation), clusterId });
    this.heartbeatMs = heartbeatMs;
  }

  private entries(message: hot.LinkEntriesFields<hot.ReceivedEntry>): void {
    const { entries, leaderRevision: leaderIndex, leaderClockMs, lastCheck } = message;
    this.credit.received(bytesOf(entries));
    const subscription = this.subscriptions.get(message.subscription);
    // On its way when it was given up.
    if (!subscription) return this.release(bytesOf(entries));
    this.moved(subscription.of.source.tableId, leaderIndex);
    this.parts.standing?.moved(subscription.of.table, leaderIndex);
    subscription.push(entries, { leaderIndex, leaderClockMs, lastCheck });
  }

  /** Only who does not know it yet is told where its log stands: most tables are idle. */
  private heartbeat({ leaderClockMs, revisions }: linkV1.Heartbeat): void {
    const clockMs = Number(leaderClockMs);
    for (const { tableId, revision } of revisions) {
      if (this.moved(Number(tableId), Number(revision))) this.unnoted.add(Number(tableId));
    }
    if (this.unnoted.size > 0) {
      for (const one of this.subscriptions.values()) {
        const { tableId } = one.of.source;
        if (!this.unnoted.has(tableId)) continue;
        const leaderIndex = this.revisions.get(tableId) ?? 0;
        this.parts.standing?.moved(one.of.table, leaderIndex);
        one.note({ leaderIndex, leaderClockMs: clockMs });
      }
      this.unnoted.clear();
    }
    this.parts.standing?.clock(clockMs);
  }

  private ended({ subscription, reason, message }: linkV1.SubscriptionEnd): void {
    const one = this.subscriptions.get(Number(subscription));
    this.subscriptions.delete(Number(subscription));
    if (one) this.parts.standing?.left(one.of.table);
    const told = { kind: 'error', entries: [], leaderIndex: 0 } as const;
    if (reason === Reason.COMPACTED) one?.finish({ message: { ...told, error: USE_SNAPSHOT } });
    else if (reason === Reason.DIVERGED) {
      one?.finish({ message: { ...told, error: USE_SNAPSHOT, divergence: message } });
    } else if (reason === Reason.LEADER_BEHIND) {
      one?.finish({ message: { ...told, error: LEADER_BEHIND } });
    } else if (reason === Reason.OTHER_TABLE) one?.finish({ error: new OtherTableError(message) });
    else one?.finish({ error: new GrpcStatusError(status.UNAVAILABLE, message) });
  }

  /** Whether that is news. */
  private moved(tableId: number, revision: number): boolean {
    if (revision <= (this.revisions.get(tableId) ?? 0)) return false;
    this.revisions.set(tableId, revision);
    return true;
  }
}

function plain(message: linkV1.LinkEntries): hot.LinkEntriesFields<hot.ReceivedEntry> {
  const { entries, subscription, leaderRevision, leaderClockMs, lastCheck } = message;
  return {
    subscription: Number(subscription),
    entries: entries.map(({ index, command }) => ({ index: Number(index), command })),
    leaderRevision: Number(leaderRevision),
    leaderClockMs: Number(leaderClockMs),
    lastCheck,
  };
}

function garbled(what: string): GrpcStatusError {
  return new GrpcStatusError(status.INTERNAL, `the leader cluster is not understood: ${what}`);
}
