/**
 * One replication gateway of a follower cluster, put together: what it is made of, and in which
 * order that starts and stops.
 *
 *   ways to both clusters --> pullers --> REST: metrics and probes
 *
 * Nobody calls it. Any number of them may run: they share the tables by leases, and go on with
 * those of one that ends.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { HealthRegistry, Lifecycle, type LoadedConfig, type Logger } from '@flotilla/platform';
import { register } from 'prom-client';
import { createRestApp, type RestApp } from './app.module.js';
import { type GatewayConfig } from './config/gateway-config.js';
import { CatalogGenerations } from './follower/catalog-generations.js';
import { connectLeaderCluster, leaderClient } from './follower/leader-cluster.js';
import { LinkLeader } from './follower/link/link-leader.js';
import { NegotiatedLeader } from './follower/link/negotiated-leader.js';
import { OwnClusterClient } from './follower/own-cluster.js';
import { OwnClusterId } from './follower/own-cluster-id.js';
import { OwnShadows } from './follower/own-shadows.js';
import { PullerGroup } from './follower/puller-group.js';
import { PullerMetrics } from './follower/puller-metrics.js';
import { SYSTEM_CLOCK } from './gateway-clock.js';
import { type Gateway, type ServedAddresses } from './gateway.js';
import { NodePool } from './nodes/node-pool.js';

/** Of a holder's name 255 bytes are allowed; what it is doing stands behind this. */
const HOST_CHARS_MAX = 64;
const RANDOM_BYTES = 6;

/** Another one at each start: whoever held a lease before is somebody else. */
function newName(): string {
  const random = randomBytes(RANDOM_BYTES).toString('hex');
  return `${hostname().slice(0, HOST_CHARS_MAX)}-${random}`;
}

export class FollowerGateway implements Gateway {
  readonly lifecycle: Lifecycle;
  private readonly health: HealthRegistry;
  private readonly group: PullerGroup;
  private app: RestApp | undefined;
  private served: ServedAddresses | undefined;

  constructor(
    private readonly loaded: LoadedConfig<GatewayConfig>,
    private readonly logger: Logger,
  ) {
    const { cluster, replication } = loaded.config;
    this.health = new HealthRegistry(logger.child('health'));
    const pool = new NodePool(cluster, SYSTEM_CLOCK);
    const gateway = newName();
    const metrics = new PullerMetrics(register);
    const polls = connectLeaderCluster(replication);
    const clients = replication.leaderAddresses.map((one) => leaderClient(replication, [one]));
    const ownId = new OwnClusterId(pool, logger.child('nodes'));
    const link = new LinkLeader({
      clients,
      gateway,
      clusterId: () => ownId.get(),
      generations: new CatalogGenerations(pool, SYSTEM_CLOCK),
      clock: SYSTEM_CLOCK,
      logger: logger.child('link'),
      messageBytesMax: replication.receiveMessageBytesMax,
      snapshotRpcTimeoutMs: replication.snapshotRpcTimeoutMs,
    });
    metrics.exposeLink(link);
    this.group = new PullerGroup({
      gateway,
      leader: new NegotiatedLeader(link, polls, SYSTEM_CLOCK),
      own: new OwnClusterClient(pool, SYSTEM_CLOCK),
      shadows: new OwnShadows(pool, SYSTEM_CLOCK),
      clock: SYSTEM_CLOCK,
      logger,
      metrics,
      settings: replication,
    });
    const disconnect = () => [polls, ...clients].forEach((one) => one.close());
    this.lifecycle = new Lifecycle({ logger: logger.child('lifecycle') })
      .add({ name: 'nodes', stop: () => pool.close() })
      .add({ name: 'leader cluster', stop: disconnect })
      .add({ name: 'link', start: () => link.start(), stop: () => link.stop() })
      .add({ name: 'rest', start: () => this.serve(), stop: () => this.stopServing() });
    this.group.addTo(this.lifecycle);
  }

  /** Set once the gateway serves. */
  get addresses(): ServedAddresses | undefined {
    return this.served;
  }

  startDraining(reason: string): void {
    this.health.drain(reason);
  }

  private async serve(): Promise<void> {
    const readiness = (name: string, isHeard: () => boolean, reason: string): void => {
      this.health.register({
        name,
        kind: 'readiness',
        check: () => {
          if (!isHeard()) throw new Error(reason);
        },
      });
    };
    const { group } = this;
    readiness('cluster', () => group.hearsOwnCluster, 'no node tells which copies there are');
    readiness('leader', () => group.hearsLeaderCluster, 'the leader cluster does not answer');
    const { loaded, health, logger } = this;
    this.app = await createRestApp({ loaded, health }, logger);
    const { hostname: host, port } = new URL(loaded.config.rest.address);
    await this.app.listen(Number(port), host);
    this.served = { restAddress: await this.app.getUrl() };
    this.health.watch();
  }

  private async stopServing(): Promise<void> {
    await this.app?.close();
    this.health.close();
  }
}
