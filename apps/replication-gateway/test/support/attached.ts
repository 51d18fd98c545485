/**
 * A gateway of a follower cluster that is attached to a link, without sockets: it says what the test says, and
 * takes messages at the pace of the test.
 */
import {
  type BidiHandler,
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  status,
} from '@flotilla/grpc';
import { linkV1 } from '@flotilla/proto';
import { ENTRIES_BYTES_MAX } from '../../src/leader/link/link-limits.js';
import { LINK_ATTACH, LinkService } from '../../src/leader/link/link.service.js';
import { RunningSnapshots } from '../../src/leader/running-snapshots.js';
import { NO_METRICS } from './fake-feed.js';
import { type FollowedCluster } from './followed-logs.js';
import { ManualClock } from './manual-clock.js';

export const HEARTBEAT_MS = 1_000;

export type LinkMessage = NonNullable<linkV1.AttachMessage['kind']>;
type Case = LinkMessage['$case'];
type Value<C extends Case> = Extract<LinkMessage, { $case: C }>['value'];
type Request = NonNullable<linkV1.AttachRequest['kind']>;

export class Attached {
  readonly messages: LinkMessage[] = [];
  /** How the call ended: undefined while it runs, null if well. */
  outcome: Error | null | undefined;
  readonly ended: Promise<void>;
  private readonly requests: Buffer[] = [];
  private readonly abort = new AbortController();
  private isOver = false;
  private wake: () => void = () => undefined;
  private held: { readonly free: Promise<void>; readonly release: () => void } | undefined;

  constructor(handle: BidiHandler) {
    const { signal } = this.abort;
    const call = {
      signal,
      get cancelled() {
        return signal.aborted;
      },
    } as unknown as CallContext;
    const write = (message: Uint8Array): Promise<void> | undefined => {
      const { kind } = linkV1.AttachMessage.decode(message);
      if (kind) this.messages.push(kind);
      return this.held?.free;
    };
    this.ended = handle(this.iterate(), call, { write }).then(
      () => void (this.outcome = null),
      (error: unknown) => void (this.outcome = error as Error),
    );
  }

  hello(fields: Partial<linkV1.AttachHello> = {}): this {
    const usual = { clusterId: 'follower', gateway: 'g', generation: 0n, leaderClusterId: '' };
    return this.say({
      $case: 'hello',
      value: { ...usual, creditBytes: 1_000_000_000n, ...fields },
    });
  }

  subscribe(
    subscription: number,
    tableId: number,
    from = 1,
    epoch = tableId,
    previousCheck?: bigint,
  ): this {
    const numbers = { tableId: BigInt(tableId), epoch: BigInt(epoch), from: BigInt(from) };
    const value = { ...numbers, subscription: BigInt(subscription), previousCheck };
    return this.say({ $case: 'subscribe', value });
  }

  unsubscribe(subscription: number): this {
    return this.say({ $case: 'unsubscribe', value: { subscription: BigInt(subscription) } });
  }

  credit(bytes: number): this {
    return this.say({ $case: 'credit', value: { bytes: BigInt(bytes) } });
  }

  say(kind: Request): this {
    return this.sayBytes(Buffer.from(linkV1.AttachRequest.encode({ kind }).finish()));
  }

  sayBytes(bytes: Buffer): this {
    this.requests.push(bytes);
    this.wake();
    return this;
  }

  /** Says no more. */
  finish(): void {
    this.isOver = true;
    this.wake();
  }

  cancel(): void {
    this.abort.abort(new GrpcStatusError(status.CANCELLED, 'context canceled'));
    this.finish();
  }

  /** Takes nothing until the returned function is called. */
  hold(): () => void {
    let release: () => void = () => undefined;
    const free = new Promise<void>((resolve) => (release = resolve));
    this.held = { free, release };
    return () => {
      this.held = undefined;
      release();
    };
  }

  of<C extends Case>(wanted: C): Value<C>[] {
    return this.messages.flatMap((each) => (each.$case === wanted ? [each.value as Value<C>] : []));
  }

  /** Indexes of all entries of a subscription, in the order in which they came. */
  indexes(subscription: number): number[] {
    return this.of('entries')
      .filter((each) => Number(each.subscription) === subscription)
      .flatMap(({ entries }) => entries.map(({ index }) => Number(index)));
  }

  get commandBytes(): number {
    const sizes = this.of('entries').flatMap(({ entries }) =>
      entries.map((each) => each.command.length),
    );
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  private iterate(): AsyncIterable<Buffer> {
    const next = async (): Promise<IteratorResult<Buffer, undefined>> => {
      while (this.requests.length === 0 && !this.isOver) {
        await new Promise<void>((resolve) => (this.wake = resolve));
      }
      const value = this.requests.shift();
      return value ? { done: false, value } : { done: true, value: undefined };
    };
    const leave = (): Promise<IteratorResult<Buffer, undefined>> => {
      this.finish();
      return Promise.resolve({ done: true, value: undefined });
    };
    return { [Symbol.asyncIterator]: () => ({ next, return: leave }) };
  }
}

/** A link of a cluster, and whoever attaches to it. */
export class AttachTo {
  readonly clock = new ManualClock();
  readonly logged: unknown[][] = [];
  readonly service: LinkService;
  private handler: BidiHandler | undefined;

  constructor(cluster: FollowedCluster) {
    this.service = new LinkService({
      feed: cluster,
      directory: cluster,
      clock: this.clock,
      metrics: NO_METRICS,
      snapshots: new RunningSnapshots(),
      logger: { error: (...line: unknown[]) => void this.logged.push(line) },
      heartbeatMs: HEARTBEAT_MS,
      entriesBytesMax: ENTRIES_BYTES_MAX,
      encodings: [],
    });
    const register = (path: string, _kind: string, handler: BidiHandler): void => {
      if (path === LINK_ATTACH) this.handler = handler;
    };
    this.service.register({ register } as unknown as GrpcServer);
  }

  open(): Attached {
    if (!this.handler) throw new Error('nothing was registered');
    return new Attached(this.handler);
  }

  async attach(fields: Partial<linkV1.AttachHello> = {}): Promise<Attached> {
    const attached = this.open().hello(fields);
    await this.clock.settle();
    return attached;
  }
}
