/**
 * The maintenance app, put together: what it is made of, and in which order that starts and stops.
 *
 *   ways to the nodes, the store --> backups --> gRPC for operators, REST
 *                    leases --> turns --> schedule, log shipping
 *
 * It keeps nothing: what it was at when it ended is found in the store and in the cluster.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { BackupObjects, SYSTEM_BACKUP_CLOCK } from '@flotilla/backup';
import { type ObjectStore } from '@flotilla/object-store';
import { HealthRegistry, Lifecycle, type LoadedConfig, type Logger } from '@flotilla/platform';
import { register } from 'prom-client';
import { BackupEngine } from './backups/backup-engine.js';
import { BackupMetrics } from './backups/backup-metrics.js';
import { BackupSchedule } from './backups/backup-schedule.js';
import { BackupsService } from './backups/backups.service.js';
import { addLogMetrics } from './backups/log-metrics.js';
import { LogShipping } from './backups/log-shipping.js';
import { openKeys, openStore } from './backups/open-store.js';
import { type MaintenanceConfig, type ScheduleConfig } from './config/maintenance-config.js';
import { SYSTEM_CLOCK } from './maintenance-clock.js';
import { MaintenanceServers, type ServedAddresses } from './maintenance-servers.js';
import { NodeCopies } from './nodes/node-copies.js';
import { NodeLogSource } from './nodes/node-log-source.js';
import { NodeShadows } from './nodes/node-shadows.js';
import { NodeTableSource } from './nodes/node-table-source.js';
import { NodeWays } from './nodes/node-ways.js';
import { NodeLeases } from './runner/node-leases.js';
import { type Purpose, PURPOSES, RunnerLease } from './runner/runner-lease.js';
import { exposeRunner } from './runner/runner-metrics.js';
import { PassedCluster } from './regatta/passed-cluster.js';
import { RegattaService } from './regatta/regatta.service.js';

/** Nodes take names of holders of up to 255 bytes. */
const HOLDER_NAME_BYTES_MAX = 200;
/** Running calls may take this long when the app stops. */
const DRAIN_MS = 10_000;
/** What was read of a log is stored within this once another app ships it. */
const SHIPPING_GRACE_MS = 5_000;

export class MaintenanceApp {
  readonly lifecycle: Lifecycle;
  private readonly health: HealthRegistry;
  private readonly ways: NodeWays;
  private readonly source: NodeTableSource;
  private readonly shadows: NodeShadows;
  private readonly lease: RunnerLease;
  private store: ObjectStore | undefined;
  private servers: MaintenanceServers | undefined;
  private schedule: BackupSchedule | undefined;
  private shipping: LogShipping | undefined;
  /** Of its own: who runs the schedule need not ship logs, and the other way round. */
  private shippingLease: RunnerLease | undefined;
  private logWays: NodeWays | undefined;
  private served: ServedAddresses | undefined;

  constructor(
    private readonly loaded: LoadedConfig<MaintenanceConfig>,
    private readonly logger: Logger,
  ) {
    this.health = new HealthRegistry(logger.child('health'));
    this.ways = new NodeWays(loaded.config.cluster, SYSTEM_CLOCK);
    this.source = new NodeTableSource(this.ways);
    this.shadows = new NodeShadows(this.ways, this.source);
    this.lease = this.leaseOf(PURPOSES.schedule);
    this.lifecycle = new Lifecycle({ logger: logger.child('lifecycle') })
      .add({ name: 'nodes', stop: async () => this.ways.close() })
      .add({
        name: 'store',
        start: async () => {
          this.store = await openStore(loaded.config.backup.store);
        },
        stop: async () => this.store?.close(),
      })
      .add({
        name: 'servers',
        start: () => this.serve(),
        stop: (deadlineMs) => this.stopServing(deadlineMs),
      });
  }

  /** Set once the app serves. */
  get addresses(): ServedAddresses | undefined {
    return this.served;
  }

  /** Takes readiness away, so that no new work is sent here. */
  startDraining(reason: string): void {
    this.health.drain(reason);
  }

  private async serve(): Promise<void> {
    const { loaded, health, logger } = this;
    const { retention } = loaded.config;
    const metrics = new BackupMetrics(register, SYSTEM_CLOCK);
    const engine = this.engine(metrics);
    const backups = new BackupsService(
      engine,
      retention,
      SYSTEM_CLOCK,
      logger.child('backups'),
      metrics,
    );
    const regatta = new RegattaService({
      role: loaded.command === 'follower' ? 'follower' : 'leader',
      source: this.source,
      shadows: this.shadows,
      copies: new NodeCopies(this.ways),
      logger: logger.child('regatta'),
    });
    const services = [backups, regatta, new PassedCluster(this.ways)];
    const { lease } = this;
    this.servers = new MaintenanceServers({ loaded, health, logger, services, lease });
    this.served = await this.servers.start();
    if (engine) this.begin(engine, metrics);
    this.ship();
    // Who has nothing to do must not keep a lease from who has.
    if (engine && hasWork(loaded.config.schedule)) this.lease.start();
    this.shippingLease?.start();
    this.health.watch();
  }

  private begin(engine: BackupEngine, metrics: BackupMetrics): void {
    const { retention: rules, schedule: config } = this.loaded.config;
    const logger = this.logger.child('schedule');
    const { lease: turns } = this;
    const clock = SYSTEM_CLOCK;
    this.schedule = new BackupSchedule({ engine, config, rules, turns, metrics, clock, logger });
    this.schedule.start();
    exposeRunner(register, turns);
  }

  /** In a leader cluster only, and by the app that has the lease of it: the logs of copies are those of another one. */
  private ship(): void {
    const { loaded, store } = this;
    const { logShippingMs: intervalMs, keyFiles, keyId } = loaded.config.backup;
    const logger = this.logger.child('log-shipping');
    if (!store || intervalMs === 0) return;
    if (loaded.command === 'follower') {
      logger.warn(
        {},
        'logs are shipped from the leader cluster; backup.log-shipping does nothing here',
      );
      return;
    }
    // Streams that nobody reads for a while must not hold up backups on the same connections.
    const ways = new NodeWays(loaded.config.cluster, SYSTEM_CLOCK);
    this.logWays = ways;
    this.shipping = new LogShipping({
      source: new NodeLogSource(ways),
      objects: new BackupObjects(store),
      keys: openKeys(keyFiles),
      keyId,
      clock: SYSTEM_BACKUP_CLOCK,
      intervalMs,
      timer: SYSTEM_CLOCK,
      logger,
      onGap: () => this.schedule?.gap(),
    });
    const { shipping } = this;
    addLogMetrics(register, () => shipping.figures());
    this.shippingLease = this.leaseOf(PURPOSES.shipping);
    this.shippingLease.onChange((turn) => {
      if (turn) shipping.start();
      else void shipping.stop(SHIPPING_GRACE_MS);
    });
  }

  private leaseOf(purpose: Purpose): RunnerLease {
    return new RunnerLease({
      purpose,
      leases: new NodeLeases(this.ways),
      holder: holderName(this.loaded.config.backup.runner),
      clock: SYSTEM_CLOCK,
      logger: this.logger.child('runner'),
    });
  }

  private engine(metrics: BackupMetrics): BackupEngine | undefined {
    const { store } = this;
    if (!store) return undefined;
    const config = this.loaded.config.backup;
    return new BackupEngine({
      store,
      keys: openKeys(config.keyFiles),
      source: this.source,
      shadows: this.shadows,
      clock: SYSTEM_BACKUP_CLOCK,
      config,
      runner: runnerName(config.runner),
      logger: this.logger.child('backups'),
      onGood: (manifest) => {
        metrics.newest = manifest;
      },
    });
  }

  private async stopServing(deadlineMs: number): Promise<void> {
    await Promise.all([this.schedule?.stop(), this.shipping?.stop(deadlineMs / 4)]);
    this.logWays?.close();
    await Promise.all([this.lease.close(), this.shippingLease?.close()]);
    await this.servers?.stop(Math.min(deadlineMs / 2, DRAIN_MS));
    this.health.close();
  }
}

/** Whether there is anything that only one app of a cluster may do. */
function hasWork({ full, incremental, drill }: ScheduleConfig): boolean {
  return [full, incremental, drill].some((expression) => expression !== '');
}

function runnerName(runner: string): string {
  return runner === '' ? hostname() : runner;
}

/** Of this process alone: one that was started again is another holder. */
function holderName(runner: string): string {
  const name = Buffer.from(runnerName(runner)).subarray(0, HOLDER_NAME_BYTES_MAX).toString();
  return `${name}/${process.pid}/${randomBytes(4).toString('hex')}`;
}
