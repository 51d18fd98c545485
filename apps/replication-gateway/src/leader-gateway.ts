/**
 * One replication gateway of a leader cluster, put together: what it is made of, and in which order
 * that starts and stops.
 *
 *   ways to the nodes --> what tables there are --> gRPC for follower clusters, REST
 *
 * It keeps nothing: any number of gateways may run, and one that ends is missed by its callers
 * alone.
 */
import { HealthRegistry, Lifecycle, type LoadedConfig, type Logger } from '@flotilla/platform';
import { type GatewayConfig } from './config/gateway-config.js';
import { type Gateway, type ServedAddresses } from './gateway.js';
import { SYSTEM_CLOCK } from './gateway-clock.js';
import { GatewayServers } from './gateway-servers.js';
import { Feed } from './nodes/feed.js';
import { NodePool } from './nodes/node-pool.js';
import { TableDirectory } from './nodes/table-directory.js';

/** Running calls may take this long when the gateway stops. */
const DRAIN_MS = 10_000;

export class LeaderGateway implements Gateway {
  readonly lifecycle: Lifecycle;
  private readonly health: HealthRegistry;
  private readonly pool: NodePool;
  private readonly directory: TableDirectory;
  private readonly servers: GatewayServers;
  private served: ServedAddresses | undefined;

  constructor(loaded: LoadedConfig<GatewayConfig>, logger: Logger) {
    const { cluster } = loaded.config;
    this.health = new HealthRegistry(logger.child('health'));
    this.pool = new NodePool(cluster, SYSTEM_CLOCK);
    const { health, pool } = this;
    this.directory = new TableDirectory(pool, SYSTEM_CLOCK, logger.child('tables'));
    const { directory } = this;
    const feed = new Feed(pool, directory, SYSTEM_CLOCK);
    this.servers = new GatewayServers({ loaded, logger, health, pool, directory, feed });
    this.lifecycle = new Lifecycle({ logger: logger.child('lifecycle') })
      .add({ name: 'nodes', stop: () => this.pool.close() })
      .add({
        name: 'tables',
        start: () => this.directory.start(),
        stop: () => this.directory.stop(),
      })
      .add({
        name: 'servers',
        start: () => this.serve(),
        stop: (deadlineMs) => this.stopServing(deadlineMs),
      });
  }

  /** Set once the gateway serves. */
  get addresses(): ServedAddresses | undefined {
    return this.served;
  }

  /** Takes readiness away, so that no new work is sent here. */
  startDraining(reason: string): void {
    this.health.drain(reason);
  }

  private async serve(): Promise<void> {
    this.health.register({
      name: 'cluster',
      kind: 'readiness',
      check: () => {
        if (!this.directory.isKnown) throw new Error('no node has told which tables there are');
      },
    });
    this.served = await this.servers.start();
    this.health.watch();
  }

  private async stopServing(deadlineMs: number): Promise<void> {
    await this.servers.stop(Math.min(deadlineMs / 2, DRAIN_MS));
    this.health.close();
  }
}
