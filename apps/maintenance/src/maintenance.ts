/**
 * The maintenance app, put together: what it is made of, and in which order that starts and stops.
 *
 *   ways to the nodes, the store --> backups --> gRPC for operators, REST
 *
 * It keeps nothing: what it was at when it ended is found in the store and in the cluster.
 */
import { hostname } from 'node:os';
import { SYSTEM_BACKUP_CLOCK } from '@flotilla/backup';
import { type ObjectStore } from '@flotilla/object-store';
import { HealthRegistry, Lifecycle, type LoadedConfig, type Logger } from '@flotilla/platform';
import { register } from 'prom-client';
import { BackupEngine } from './backups/backup-engine.js';
import { BackupMetrics } from './backups/backup-metrics.js';
import { BackupSchedule } from './backups/backup-schedule.js';
import { BackupsService } from './backups/backups.service.js';
import { openKeys, openStore } from './backups/open-store.js';
import { type MaintenanceConfig } from './config/maintenance-config.js';
import { SYSTEM_CLOCK } from './maintenance-clock.js';
import { MaintenanceServers, type ServedAddresses } from './maintenance-servers.js';
import { NodeCopies } from './nodes/node-copies.js';
import { NodeShadows } from './nodes/node-shadows.js';
import { NodeTableSource } from './nodes/node-table-source.js';
import { NodeWays } from './nodes/node-ways.js';
import { PassedCluster } from './regatta/passed-cluster.js';
import { RegattaService } from './regatta/regatta.service.js';

/** Running calls may take this long when the app stops. */
const DRAIN_MS = 10_000;

export class MaintenanceApp {
  readonly lifecycle: Lifecycle;
  private readonly health: HealthRegistry;
  private readonly ways: NodeWays;
  private readonly source: NodeTableSource;
  private readonly shadows: NodeShadows;
  private store: ObjectStore | undefined;
  private servers: MaintenanceServers | undefined;
  private schedule: BackupSchedule | undefined;
  private served: ServedAddresses | undefined;

  constructor(
    private readonly loaded: LoadedConfig<MaintenanceConfig>,
    private readonly logger: Logger,
  ) {
    this.health = new HealthRegistry(logger.child('health'));
    this.ways = new NodeWays(loaded.config.cluster, SYSTEM_CLOCK);
    this.source = new NodeTableSource(this.ways);
    this.shadows = new NodeShadows(this.ways, this.source);
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
    const backups = new BackupsService(engine, retention, SYSTEM_CLOCK, logger.child('backups'));
    const regatta = new RegattaService({
      role: loaded.command === 'follower' ? 'follower' : 'leader',
      source: this.source,
      shadows: this.shadows,
      copies: new NodeCopies(this.ways),
      logger: logger.child('regatta'),
    });
    const services = [backups, regatta, new PassedCluster(this.ways)];
    this.servers = new MaintenanceServers({ loaded, health, logger, services });
    this.served = await this.servers.start();
    if (engine) this.begin(engine, metrics);
    this.health.watch();
  }

  private begin(engine: BackupEngine, metrics: BackupMetrics): void {
    const { retention: rules, schedule: config } = this.loaded.config;
    const logger = this.logger.child('schedule');
    const clock = SYSTEM_CLOCK;
    this.schedule = new BackupSchedule({ engine, config, rules, metrics, clock, logger });
    this.schedule.start();
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
      runner: config.runner === '' ? hostname() : config.runner,
      onGood: (manifest) => metrics.good(manifest),
    });
  }

  private async stopServing(deadlineMs: number): Promise<void> {
    await this.schedule?.stop();
    await this.servers?.stop(Math.min(deadlineMs / 2, DRAIN_MS));
    this.health.close();
  }
}
