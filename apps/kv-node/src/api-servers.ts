/**
 * The two servers of a kv-node: gRPC for clients, REST for probes and metrics.
 *
 * In: the parts that run already. Out: bound addresses. Hot services are registered with the gRPC
 * server directly, rare ones are Nest controllers on the same server.
 */
import {
  addHealthService,
  addReflectionService,
  bearerAuth,
  createGrpcServer,
  type GrpcServer,
  parseAddress,
} from '@flotilla/grpc';
import {
  connectGrpc,
  GRPC_SERVER_METRICS,
  GrpcStrategy,
  linkGrpcHealth,
  type GrpcServerMetrics,
  type HealthRegistry,
  type LoadedConfig,
  type Logger,
  NestLogger,
  serverTls,
} from '@flotilla/platform';
import { descriptorSet } from '@flotilla/proto';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { register } from 'prom-client';
import { AppModule } from './app.module.js';
import { CLUSTER_CHANGES_SERVICE } from './cluster/cluster-changes.controller.js';
import { type KvNodeConfig } from './config/kv-node-config.js';
import { FEED_SERVICE } from './feed/feed.service.js';
import { CONTROLLER_METHODS } from './grpc-methods.js';
import { PURPOSE_LEASES_SERVICE } from './leases/purpose-api.js';
import { MAINTENANCE_SERVICE, PassedMaintenance } from './maintenance/passed-maintenance.js';
import { exposeNodeMetrics, type MetricSources } from './node/node-metrics.js';
import { SHADOW_TABLES_SERVICE } from './shadow/shadow-api.js';
import { TABLES_SERVICE } from './tables/tables.controller.js';

/** Connections are asked to come again after this long, so that clients find new nodes. */
const CONNECTION_AGE_MAX_MS = 60_000;
/**
 * The largest request that a leader cluster takes, 4 MiB, comes to pullers as one command of a
 * batch.
 */
const FOLLOWER_RECEIVE_BYTES_MAX = 4 * 1024 * 1024 + 64 * 1024;

export interface ApiParts extends MetricSources {
  readonly loaded: LoadedConfig<KvNodeConfig>;
  readonly health: HealthRegistry;
  readonly logger: Logger;
}

export class ApiServers {
  private readonly server: GrpcServer;
  private app: NestFastifyApplication | undefined;
  private maintenance: PassedMaintenance | undefined;

  constructor(private readonly parts: ApiParts) {
    const { api, tables, replication, isFollower } = parts.loaded.config;
    this.server = createGrpcServer(api.transport, {
      logger: parts.logger.child('grpc'),
      concurrentStreamsMax: api.maxConcurrentStreams,
      connectionsMax: api.maxConcurrentConnections,
      connectionAgeMaxMs: CONNECTION_AGE_MAX_MS,
      ...(isFollower && { receiveBytesMax: FOLLOWER_RECEIVE_BYTES_MAX }),
    });
    this.server.authorize(TABLES_SERVICE, bearerAuth(tables.token));
    this.server.authorize(CLUSTER_CHANGES_SERVICE, bearerAuth(tables.token));
    parts.cluster.register(this.server);
    this.server.authorize(SHADOW_TABLES_SERVICE, bearerAuth(tables.token));
    parts.cluster.shadowApi.register(this.server);
    this.server.authorize(PURPOSE_LEASES_SERVICE, bearerAuth(tables.token));
    parts.cluster.purposeApi.register(this.server);
    this.passMaintenance();
    if (!replication.enabled) return;
    // What it tells beyond the KV API is which tables there are: that is what the token guards.
    this.server.authorize(FEED_SERVICE, bearerAuth(tables.token));
    parts.cluster.feed.register(this.server);
  }

  async start(): Promise<{ readonly apiAddress: string; readonly restAddress: string }> {
    const { api, rest } = this.parts.loaded.config;
    this.app = await this.createApp();
    this.serveReflectionAndHealth();
    const metrics = this.app.get<GrpcServerMetrics>(GRPC_SERVER_METRICS);
    metrics.initialize(this.server.methods());
    this.server.observe(metrics);
    exposeNodeMetrics(register, this.parts);
    const address = parseAddress(api.address, 'api.address');
    const tls = address.secure ? serverTls(api) : undefined;
    const bound = await this.server.listen(address, tls ? { tls } : {});
    const { hostname, port } = new URL(rest.address);
    await this.app.listen(Number(port), hostname);
    return { apiAddress: bound.url, restAddress: await this.app.getUrl() };
  }

  /** Idempotent. Running calls may go on for `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    await this.server.close({ graceMs });
    this.maintenance?.close();
    await this.app?.close();
  }

  private passMaintenance(): void {
    const { maintenance } = this.parts.loaded.config;
    const { enabled, token, addresses } = maintenance;
    if (!enabled || addresses.length === 0) return;
    this.server.authorize(MAINTENANCE_SERVICE, bearerAuth(token));
    this.maintenance = new PassedMaintenance(maintenance);
    this.maintenance.register(this.server);
  }

  private async createApp(): Promise<NestFastifyApplication> {
    const { loaded, health, cluster } = this.parts;
    const { rest } = loaded.config;
    const app = await NestFactory.create<NestFastifyApplication>(
      AppModule.forRoot({ loaded, health, cluster }),
      new FastifyAdapter({ requestTimeout: rest.readTimeoutMs }),
      { logger: new NestLogger(this.parts.logger.child('nest')), abortOnError: false },
    );
    connectGrpc(app, new GrpcStrategy(this.server, CONTROLLER_METHODS));
    await app.init();
    await app.startAllMicroservices();
    return app;
  }

  private serveReflectionAndHealth(): void {
    const services = [...new Set(this.server.methods().map(({ service }) => service))];
    addReflectionService(this.server, descriptorSet);
    linkGrpcHealth(this.parts.health, addHealthService(this.server), services);
  }
}
