/**
 * The two servers of the app: gRPC for operators, REST for probes and metrics.
 *
 * In: the services. Out: bound addresses. All of the services are guarded by the same token.
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
  GRPC_SERVER_METRICS,
  type GrpcServerMetrics,
  type HealthRegistry,
  linkGrpcHealth,
  type LoadedConfig,
  type Logger,
  serverTls,
} from '@flotilla/platform';
import { descriptorSet } from '@flotilla/proto';
import { createRestApp, type RestApp } from './app.module.js';
import { type MaintenanceConfig } from './config/maintenance-config.js';
import { type RunnerLease } from './runner/runner-lease.js';

/** Where the app serves, for the log and for whoever started it. */
export interface ServedAddresses {
  readonly maintenanceAddress: string;
  readonly restAddress: string;
}

export interface ServerParts {
  readonly loaded: LoadedConfig<MaintenanceConfig>;
  readonly health: HealthRegistry;
  readonly logger: Logger;
  readonly lease: RunnerLease;
  readonly services: readonly { register(server: GrpcServer): void }[];
}

export class MaintenanceServers {
  private readonly server: GrpcServer;
  private app: RestApp | undefined;

  constructor(private readonly parts: ServerParts) {
    const { loaded, logger, services } = parts;
    const { maintenance } = loaded.config;
    this.server = createGrpcServer(maintenance.transport, { logger: logger.child('grpc') });
    for (const service of services) service.register(this.server);
    const guard = bearerAuth(maintenance.token);
    for (const service of this.services()) this.server.authorize(service, guard);
  }

  async start(): Promise<ServedAddresses> {
    const { maintenance, rest } = this.parts.loaded.config;
    const { loaded, health, logger, lease } = this.parts;
    this.app = await createRestApp({ loaded, health, lease }, logger);
    const services = this.services();
    addReflectionService(this.server, descriptorSet);
    linkGrpcHealth(health, addHealthService(this.server), services);
    const metrics = this.app.get<GrpcServerMetrics>(GRPC_SERVER_METRICS);
    metrics.initialize(this.server.methods());
    this.server.observe(metrics);
    const address = parseAddress(maintenance.address, 'maintenance.address');
    const tls = address.secure ? serverTls(maintenance) : undefined;
    const bound = await this.server.listen(address, tls ? { tls } : {});
    const { hostname, port } = new URL(rest.address);
    await this.app.listen(Number(port), hostname);
    return { maintenanceAddress: bound.url, restAddress: await this.app.getUrl() };
  }

  /** Idempotent. Running calls may go on for `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    await this.server.close({ graceMs });
    await this.app?.close();
  }

  private services(): string[] {
    return [...new Set(this.server.methods().map(({ service }) => service))];
  }
}
