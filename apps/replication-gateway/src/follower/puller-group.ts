/**
 * The pullers of one gateway, put together: what they are made of, and in which order that starts
 * and stops.
 *
 *   session --who lives--.
 *   discovery --copies--> pulled tables --leases--> works: pullers, recoveries
 *                                                     `--positions--> reporter
 *
 * In: the ways to both clusters. Out: whether it hears of both. It keeps nothing: what a gateway
 * must know after a restart stands in the copies and in the catalog of their cluster.
 */
import { type Lifecycle, type Logger } from '@flotilla/platform';
import { type ReplicationConfig } from '../config/gateway-config.js';
import { type GatewayClock } from '../gateway-clock.js';
import { Holdings } from './holdings.js';
import { LeasePlanner } from './lease-planner.js';
import { Pace } from './pace.js';
import { POLLED_SOURCE } from './leader-cluster.js';
import { type Copy, type LeaderCluster, type OwnCluster, type ShadowTables } from './ports.js';
import { PositionBoard } from './position-board.js';
import { PositionReporter } from './position-reporter.js';
import { PullTally } from './pull-tally.js';
import { PulledTables } from './pulled-tables.js';
import { type PullerMetrics } from './puller-metrics.js';
import { ShadowRecovery } from './recovery.js';
import { RecoverySlots } from './recovery-slots.js';
import { SessionKeeper } from './session-keeper.js';
import { TableDiscovery } from './table-discovery.js';
import { TableWork, type WorkParts } from './table-work.js';

export interface GroupParts {
  /** A name that no other gateway of the cluster has. */
  readonly gateway: string;
  readonly leader: LeaderCluster;
  readonly own: OwnCluster;
  readonly shadows: ShadowTables;
  readonly clock: GatewayClock;
  readonly logger: Logger;
  readonly metrics: PullerMetrics;
  readonly settings: Pick<
    ReplicationConfig,
    | 'pollIntervalMs'
    | 'reconcileIntervalMs'
    | 'leaseIntervalMs'
    | 'recoveriesInFlightMax'
    | 'snapshotReceiveBytesPerSecondMax'
  >;
}

/** A cluster that has not answered for so long is not heard of any more. */
const SILENT_MS = 10_000;

export class PullerGroup {
  private readonly session: SessionKeeper;
  private readonly discovery: TableDiscovery;
  private readonly tables: PulledTables;
  private readonly reporter: PositionReporter;
  private readonly tally: PullTally;

  constructor(private readonly parts: GroupParts) {
    const { gateway, leader, own, shadows, clock, logger, metrics, settings } = parts;
    this.tally = new PullTally(metrics);
    const board = new PositionBoard();
    leader.listen?.(board);
    const planner = new LeasePlanner(gateway, settings.leaseIntervalMs);
    this.session = new SessionKeeper({
      gateway,
      own,
      clock,
      logger: logger.child('session'),
      intervalMs: settings.leaseIntervalMs,
      changed: () => this.tables.look(),
      lost: () => this.tables.endAll(),
    });
    const holdings = new Holdings(gateway, own, this.session);
    const work = this.workParts(board, holdings);
    this.tables = new PulledTables({
      own,
      session: this.session,
      holdings,
      planner,
      clock,
      logger: logger.child('leases'),
      leaseIntervalMs: settings.leaseIntervalMs,
      startWork: (holding) => new TableWork(work, holding),
    });
    this.discovery = new TableDiscovery({
      leader,
      own,
      shadows,
      clock,
      logger: logger.child('tables'),
      intervalMs: settings.reconcileIntervalMs,
      changed: () => {
        this.tables.compare();
        this.tables.look();
      },
    });
    this.reporter = new PositionReporter(board, own, clock, logger.child('positions'), {
      gateway,
      all: () => this.tables.all(),
      tally: this.tally,
    });
    metrics.expose(this.tables, this.discovery);
    metrics.exposeLag(board, () => clock.nowMs());
  }

  addTo(lifecycle: Lifecycle): void {
    const { session, reporter, tables, discovery } = this;
    lifecycle
      .add({ name: 'session', start: () => session.start(), stop: () => session.stop() })
      .add({ name: 'positions', start: () => reporter.start(), stop: () => reporter.stop() })
      .add({ name: 'pullers', start: () => tables.start(), stop: () => tables.stop() })
      .add({ name: 'tables', start: () => discovery.start(), stop: () => discovery.stop() });
  }

  get hearsOwnCluster(): boolean {
    return this.isRecent(this.session.lastHeardMs, this.parts.settings.leaseIntervalMs);
  }

  get hearsLeaderCluster(): boolean {
    return this.isRecent(this.discovery.lastHeardMs, this.parts.settings.reconcileIntervalMs);
  }

  private isRecent(atMs: number | undefined, intervalMs: number): boolean {
    return atMs !== undefined && this.parts.clock.nowMs() - atMs < SILENT_MS + intervalMs;
  }

  private workParts(board: PositionBoard, holdings: Holdings): WorkParts {
    const { tally } = this;
    const { leader, own, shadows, clock, logger, settings } = this.parts;
    const expectedOf = ({ table }: Copy) => leader.known?.sources.get(table);
    const recovery = {
      leader,
      own,
      shadows,
      holdings,
      clock,
      pace: new Pace(settings.snapshotReceiveBytesPerSecondMax),
      received: (table: string, bytes: number) => tally.snapshotBytes(table, bytes),
      targetOf: (copy: Copy) => (leader.known ? expectedOf(copy) : POLLED_SOURCE),
      logger: logger.child('puller'),
      diverged: (table: string) => tally.failed(table, 'diverged'),
    };
    return {
      leader,
      own,
      clock,
      board,
      events: tally,
      logger: logger.child('puller'),
      pollIntervalMs: settings.pollIntervalMs,
      slots: new RecoverySlots(settings.recoveriesInFlightMax),
      expectedOf,
      startRecovery: (holding, isDiverged) => new ShadowRecovery(recovery, holding, isDiverged),
      snapshotEnded: (table, outcome) => tally.snapshotEnded(table, outcome),
    };
  }
}
