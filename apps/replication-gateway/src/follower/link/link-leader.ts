/**
 * The leader cluster by its stream (`flotilla.replication.v1.Link`): one for all tables, kept alive.
 *
 *   connecting --welcome--> attached --silence, loss--> connecting, next address
 *       |--not served anywhere--> unserved: asked again after a while
 *       `--generation refused---> refused: no data is taken, asked again after a while
 *
 * In: addresses, the highest generation that was followed. Out: tables, logs and snapshots of a
 * leader cluster that may be followed, and of no other one.
 */
import { type GrpcClient, GrpcStatusError, status } from '@flotilla/grpc';
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../../gateway-clock.js';
import { textOf } from '../failure-kind.js';
import {
  type Generation,
  type Generations,
  type LeaderCluster,
  type LeaderSnapshot,
  type LeaderTable,
  type LeaderTables,
  type LogStart,
  type LogStream,
  type StandingListener,
} from '../ports.js';
import { checkGeneration, GenerationRefusedError } from './generations.js';
import { LinkLog } from './link-log.js';
import { LinkSession } from './link-session.js';
import { readSnapshot } from './link-snapshot.js';
import { TableViews } from './table-views.js';
import { Turnstile } from './turnstile.js';

export const LINK_STATES = ['connecting', 'attached', 'unserved', 'refused'] as const;
export type LinkState = (typeof LINK_STATES)[number];

export interface LinkParts {
  /** One an address, in the order in which they are tried. */
  readonly clients: readonly GrpcClient[];
  readonly gateway: string;
  /** Of the cluster that this gateway belongs to; empty while it is not known. */
  readonly clusterId: () => Promise<string>;
  readonly generations: Generations;
  readonly clock: GatewayClock;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly messageBytesMax: number;
  readonly snapshotRpcTimeoutMs: number;
  readonly creditBytes?: number;
}

const RECONNECT_MS = 100;
const RECONNECT_MS_MAX = 5_000;
const REFUSED_PAUSE_MS = 10_000;
/** How soon a leader cluster that did not serve it is asked again. */
export const UNSERVED_PAUSE_MS = 60_000;
/** How long others wait for a stream, or for its tables. */
const WAIT_MS = 5_000;

interface Attached {
  readonly session: LinkSession;
  readonly client: GrpcClient;
  readonly generation: Generation;
  readonly clusterId: string;
}

export class LinkLeader implements LeaderCluster {
  private readonly stopping = new AbortController();
  private readonly views = new TableViews();
  private readonly turns: Turnstile;
  private running: Promise<void> | undefined;
  private current: LinkState = 'connecting';
  private attached: Attached | undefined;
  private told: LeaderTables | undefined;
  /** Whether `told` is of the stream that there is now. */
  private isFresh = false;
  private failures = 0;
  private unserved = 0;
  private session: LinkSession | undefined;
  private standing: StandingListener | undefined;

  constructor(private readonly parts: LinkParts) {
    this.turns = new Turnstile(parts.clock);
  }

  get state(): LinkState {
    return this.current;
  }

  /** Bytes of commands that came and are not in copies yet. */
  get heldBytes(): number {
    return this.session?.heldBytes ?? 0;
  }

  get known(): LeaderTables | undefined {
    return this.told;
  }

  /** Who is told where all logs stand, from the next stream on. */
  listen(listener: StandingListener): void {
    this.standing = listener;
  }

  start(): void {
    this.running ??= this.run();
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.turns.turn();
    await this.running;
  }

  /** Settles at the next change of the state, or of the tables, or when the signal is aborted. */
  changed(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    return this.turns.next(signal, timeoutMs);
  }

  async tables(signal: AbortSignal): Promise<LeaderTables> {
    return this.awaited(signal, 'its tables', () => (this.isFresh ? this.told : undefined));
  }

  log(of: LeaderTable, start: LogStart, signal: AbortSignal): LogStream {
    const session = async () => {
      const { session: one } = await this.awaited(signal, 'a stream', () => this.attached);
      return one;
    };
    return new LinkLog(session, of, start, signal);
  }

  async snapshot({ source }: LeaderTable, signal: AbortSignal): Promise<LeaderSnapshot> {
    // Not before it is known of which table the copy is to be.
    const look = () => (source.tableId > 0 && this.isFresh ? this.attached : undefined);
    const attached = await this.awaited(signal, 'the table', look);
    const { client, clusterId, generation } = attached;
    const deadlineMs = this.parts.snapshotRpcTimeoutMs;
    const reader = { client, clusterId, generation: generation.number, deadlineMs };
    return {
      kind: 'rows',
      open: (wish, callSignal) => readSnapshot(reader, source, wish, callSignal),
    };
  }

  private async awaited<T>(
    signal: AbortSignal,
    what: string,
    look: () => T | undefined,
  ): Promise<T> {
    const untilMs = this.parts.clock.nowMs() + WAIT_MS;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const leftMs = untilMs - this.parts.clock.nowMs();
      const isHopeless = this.current === 'refused' || this.current === 'unserved';
      if (isHopeless || leftMs <= 0 || signal.aborted || this.stopping.signal.aborted) {
        const text = `${what} of the leader cluster is not there: ${this.current}`;
        throw new GrpcStatusError(status.UNAVAILABLE, text);
      }
      await this.turns.next(signal, leftMs);
    }
  }

  private async run(): Promise<void> {
    const { clients, clock } = this.parts;
    const { signal } = this.stopping;
    for (let turn = 0; !signal.aborted; turn++) {
      const client = clients[turn % clients.length];
      if (!client) return;
      let pauseMs = RECONNECT_MS;
      try {
        await this.follow(client);
      } catch (error) {
        pauseMs = this.failed(error, clients.length);
      }
      await clock.sleep(pauseMs, signal);
    }
  }

  private async follow(client: GrpcClient): Promise<void> {
    const { generations, gateway, clock, messageBytesMax, creditBytes } = this.parts;
    const highest = await generations.highest();
    const clusterId = await this.parts.clusterId();
    const session: LinkSession = new LinkSession({
      client,
      clock,
      messageBytesMax,
      ...(creditBytes !== undefined && { creditBytes }),
      ...(this.standing && { standing: this.standing }),
      hello: {
        clusterId,
        gateway,
        generation: BigInt(highest.number),
        leaderClusterId: highest.clusterId,
      },
      events: {
        welcomed: async (generation) => {
          checkGeneration(generation, highest);
          await generations.remember(generation);
          this.welcomed({ session, client, generation, clusterId });
        },
        tables: ({ value }) => {
          const tables = this.views.take(value);
          if (!tables) return;
          this.told = tables;
          this.isFresh = true;
          this.turns.turn();
        },
      },
    });
    this.session = session;
    try {
      await session.run(this.stopping.signal);
    } finally {
      this.session = undefined;
      this.attached = undefined;
      this.isFresh = false;
    }
  }

  private welcomed(attached: Attached): void {
    const { number: generation, clusterId: cluster } = attached.generation;
    this.parts.logger.info({ cluster, generation }, 'the stream to the leader cluster is up');
    this.views.begin(cluster);
    this.attached = attached;
    this.failures = 0;
    this.unserved = 0;
    this.enter('attached');
  }

  /** How long to wait before the next try. */
  private failed(error: unknown, addresses: number): number {
    const code = error instanceof GrpcStatusError ? error.code : undefined;
    const reason = textOf(error);
    const isFirst = this.failures++ === 0;
    if (code === status.UNIMPLEMENTED) this.unserved++;
    if (error instanceof GenerationRefusedError || code === status.FAILED_PRECONDITION) {
      // What was told before is of a leader cluster that may have been replaced.
      this.told = undefined;
      this.enter('refused');
      this.parts.logger.error(
        { reason },
        'the leader cluster must not be followed: nothing is taken',
      );
      return REFUSED_PAUSE_MS;
    }
    // One that does not serve it may be older than others behind the same name.
    if (this.unserved > 0 && this.failures >= addresses) {
      this.failures = 0;
      this.unserved = 0;
      this.told = undefined;
      this.enter('unserved');
      return UNSERVED_PAUSE_MS;
    }
    if (isFirst) this.parts.logger.warn({ reason }, 'the stream to the leader cluster is down');
    if (this.current !== 'unserved') this.enter('connecting');
    return Math.min(RECONNECT_MS * 2 ** (this.failures - 1), RECONNECT_MS_MAX);
  }

  private enter(state: LinkState): void {
    this.current = state;
    this.turns.turn();
  }
}
