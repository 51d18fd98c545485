/**
 * Whole gateways of a follower cluster between a leader cluster that serves the stream and their own
 * one, all in memory, on a clock that the test moves.
 */
import { type GrpcClient } from '@flotilla/grpc';
import { Lifecycle, SILENT_LOGGER } from '@flotilla/platform';
import { Registry } from 'prom-client';
import { MemoryGenerations } from '../../src/follower/link/generations.js';
import { LinkLeader } from '../../src/follower/link/link-leader.js';
import { NegotiatedLeader } from '../../src/follower/link/negotiated-leader.js';
import { type Generations } from '../../src/follower/ports.js';
import { PullerGroup } from '../../src/follower/puller-group.js';
import { PullerMetrics } from '../../src/follower/puller-metrics.js';
import { type FakeCopy, FakeLeader, FakeOwn, statusError } from './fake-clusters.js';
import { FakeLink } from './fake-link.js';
import { FakeShadows } from './fake-shadows.js';
import { ManualClock } from './manual-clock.js';

export interface GatewayOptions {
  readonly clients?: readonly GrpcClient[];
  readonly generations?: Generations;
  readonly creditBytes?: number;
  readonly snapshotReceiveBytesPerSecondMax?: number;
}

export class LinkWorld {
  readonly clock = new ManualClock();
  readonly leader = new FakeLeader();
  readonly own = new FakeOwn(this.clock);
  readonly shadows = new FakeShadows(this.own);
  readonly link = new FakeLink(this.leader, this.clock);
  readonly gateways: LinkedGateway[] = [];

  async start(name = 'a', options: GatewayOptions = {}): Promise<LinkedGateway> {
    const gateway = new LinkedGateway(this, name, options);
    this.gateways.push(gateway);
    await gateway.lifecycle.start();
    return gateway;
  }

  async close(): Promise<void> {
    for (const gateway of this.gateways) await gateway.stop();
  }

  /** Appends so many entries, and lets them go out. */
  write(table: string, count: number): void {
    const { writes, term } = this.leader.table(table);
    for (let nth = 0; nth < count; nth++) {
      const at = writes.length;
      writes.push([
        `key ${at % 7}`,
        at % 5 === 4 ? undefined : `value ${at} of ${table} in ${term}`,
      ]);
    }
    this.link.poke();
  }

  /** Whether a copy has all rows of its table, with their revisions and versions. */
  isSame(table: string): boolean {
    const copy = this.own.tables.get(table);
    const there = this.leader.logs.get(table);
    if (!copy || copy.index !== there?.lastIndex) return false;
    return JSON.stringify(copy.rows) === JSON.stringify(there.rows());
  }

  copy(table: string): FakeCopy {
    return this.own.copy(table);
  }
}

export class LinkedGateway {
  readonly registry = new Registry();
  readonly lifecycle = new Lifecycle();
  readonly link: LinkLeader;
  readonly group: PullerGroup;
  /** What this gateway alone sees of its cluster. */
  isCutOff = false;

  constructor(
    private readonly world: LinkWorld,
    readonly name: string,
    options: GatewayOptions,
  ) {
    const { clock, leader, own, shadows, link } = world;
    const metrics = new PullerMetrics(this.registry);
    this.link = new LinkLeader({
      clients: options.clients ?? [link.client()],
      gateway: name,
      clusterId: () => Promise.resolve('follower-cluster'),
      generations: options.generations ?? new MemoryGenerations(),
      clock,
      logger: SILENT_LOGGER,
      messageBytesMax: 1_000,
      snapshotRpcTimeoutMs: 60_000,
      ...(options.creditBytes !== undefined && { creditBytes: options.creditBytes }),
    });
    metrics.exposeLink(this.link);
    this.group = new PullerGroup({
      gateway: name,
      leader: new NegotiatedLeader(this.link, leader, clock),
      own: this.seen(own),
      shadows: this.seen(shadows),
      clock,
      logger: SILENT_LOGGER,
      metrics,
      settings: {
        pollIntervalMs: 1_000,
        reconcileIntervalMs: 500,
        leaseIntervalMs: 1_000,
        recoveriesInFlightMax: 1,
        snapshotReceiveBytesPerSecondMax: options.snapshotReceiveBytesPerSecondMax ?? 0,
      },
    });
    this.lifecycle.add({
      name: 'link',
      start: () => this.link.start(),
      stop: () => this.link.stop(),
    });
    this.group.addTo(this.lifecycle);
  }

  async stop(): Promise<void> {
    const stopped = this.lifecycle.stop('test');
    await this.world.clock.advance(1);
    await stopped;
  }

  async metric(name: string): Promise<string[]> {
    const text = await this.registry.getSingleMetricAsString(name);
    return text.split('\n').filter((line) => line.startsWith(name));
  }

  private seen<T extends object>(cluster: T): T {
    return new Proxy(cluster, {
      get: (target, key, receiver) => {
        if (this.isCutOff) return () => Promise.reject(statusError('UNAVAILABLE', 'cut off'));
        return Reflect.get(target, key, receiver) as unknown;
      },
    });
  }
}
