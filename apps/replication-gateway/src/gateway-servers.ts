/**
 * The two servers of a gateway: gRPC for follower clusters, REST for probes and metrics.
 *
 * In: the ways to the nodes of the cluster. Out: bound addresses. What follower clusters call is
 * registered with the gRPC server directly: nothing stands between the handlers and the bytes. Its port
 * also takes the few requests of HTTP/1.1 that followers of Armada make.
 */
import {
  addHealthService,
  addReflectionService,
  createGrpcServer,
  type GrpcServer,
  parseAddress,
} from '@flotilla/grpc';
import {
  GRPC_SERVER_METRICS,
  type GrpcServerMetrics,
  type HealthRegistry,
  linkGrpcHealth,
  type LoadedConfig,
  type Logger,
  serverTls,
} from '@flotilla/platform';
import { descriptorSet } from '@flotilla/proto';
import { register } from 'prom-client';
import { createRestApp, type RestApp } from './app.module.js';
import { type GatewayConfig } from './config/gateway-config.js';
import { offeredEncodings } from './config/compression.js';
import { SYSTEM_CLOCK } from './gateway-clock.js';
import { type ServedAddresses } from './gateway.js';
import { ArmadaChangesFeed } from './leader/armada-changes-feed.js';
import { ArmadaLiveSnapshots } from './leader/armada-live.js';
import { ArmadaQueryService } from './leader/armada-query.js';
import { ForwardedKv } from './leader/forwarded-kv.js';
import { ENTRIES_BYTES_MAX, ENTRIES_SHARE } from './leader/link/link-limits.js';
import { LinkService } from './leader/link/link.service.js';
import { LogService } from './leader/log.service.js';
import { MetadataService } from './leader/metadata.service.js';
import { ReplicationMetrics } from './leader/replication-metrics.js';
import { RunningSnapshots } from './leader/running-snapshots.js';
import { SnapshotService } from './leader/snapshot.service.js';
import { SnapshotWriter } from './leader/snapshot-writer.js';
import { type Feed } from './nodes/feed.js';
import { type NodePool } from './nodes/node-pool.js';
import { type TableDirectory } from './nodes/table-directory.js';

export interface GatewayParts {
  readonly loaded: LoadedConfig<GatewayConfig>;
  readonly health: HealthRegistry;
  readonly logger: Logger;
  readonly pool: NodePool;
  readonly directory: TableDirectory;
  readonly feed: Feed;
}

export class GatewayServers {
  private readonly server: GrpcServer;
  private readonly link: LinkService;
  private readonly live: ArmadaLiveSnapshots;
  private app: RestApp | undefined;

  constructor(private readonly parts: GatewayParts) {
    const { loaded, logger, pool, directory, feed } = parts;
    const { replication } = loaded.config;
    this.server = createGrpcServer(replication.transport, { logger: logger.child('grpc') });
    const metrics = new ReplicationMetrics(register, directory);
    const { sendMessageBytesMax, heartbeatIntervalMs: heartbeatMs, compression } = replication;
    new MetadataService(directory).register(this.server);
    new LogService(feed, SYSTEM_CLOCK, metrics, sendMessageBytesMax).register(this.server);
    const running = new RunningSnapshots();
    const changes = new ArmadaChangesFeed(pool, directory, SYSTEM_CLOCK);
    const snapshots = new SnapshotWriter(feed, changes, metrics, running);
    new SnapshotService(snapshots, SYSTEM_CLOCK, sendMessageBytesMax).register(this.server);
    new ArmadaQueryService().register(this.server);
    this.live = new ArmadaLiveSnapshots(snapshots, SYSTEM_CLOCK, logger.child('snapshots'));
    this.link = new LinkService({
      feed,
      directory,
      clock: SYSTEM_CLOCK,
      metrics,
      snapshots: running,
      logger: logger.child('link'),
      heartbeatMs,
      entriesBytesMax: Math.min(ENTRIES_BYTES_MAX, Math.floor(sendMessageBytesMax * ENTRIES_SHARE)),
      encodings: offeredEncodings(compression),
    });
    this.link.register(this.server);
    metrics.watchLink(this.link);
    new ForwardedKv(pool, directory, SYSTEM_CLOCK).register(this.server);
  }

  async start(): Promise<ServedAddresses> {
    const { replication, rest } = this.parts.loaded.config;
    const { loaded, health, logger } = this.parts;
    this.app = await createRestApp({ loaded, health }, logger);
    this.serveReflectionAndHealth();
    const metrics = this.app.get<GrpcServerMetrics>(GRPC_SERVER_METRICS);
    metrics.initialize(this.server.methods());
    this.server.observe(metrics);
    const address = parseAddress(replication.address, 'replication.address');
    const tls = address.secure ? serverTls(replication) : undefined;
    const bound = await this.server.listen(address, {
      http1: this.live.accept,
      ...(tls && { tls }),
    });
    const { hostname, port } = new URL(rest.address);
    await this.app.listen(Number(port), hostname);
    return { replicationAddress: bound.url, restAddress: await this.app.getUrl() };
  }

  /** Idempotent. Running calls may go on for `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.link.close();
    await this.server.close({ graceMs });
    await this.app?.close();
  }

  private serveReflectionAndHealth(): void {
    const services = [...new Set(this.server.methods().map(({ service }) => service))];
    addReflectionService(this.server, descriptorSet);
    linkGrpcHealth(this.parts.health, addHealthService(this.server), services);
  }
}
