/**
 * Metrics for Nest: `/metrics` on the REST server, the metrics of process and runtime, and the
 * observer of the gRPC server for whoever builds that (`GRPC_SERVER_METRICS`).
 *
 * Features make their own metrics with the providers of @willsoto/nestjs-prometheus, or straight
 * from prom-client: all are in the one default registry. A process that boots several apps one after
 * the other, as tests do, starts each later one with an empty registry.
 */
import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { register } from 'prom-client';
import { grpcServerMetrics } from './grpc-server-metrics.js';
import {
  BUILD_INFO_METRIC,
  type BuildInfo,
  type EventLoopLag,
  exposeBuildInfo,
  watchEventLoopLag,
} from './process-metrics.js';

export const GRPC_SERVER_METRICS = Symbol('GRPC_SERVER_METRICS');
const EVENT_LOOP_LAG = Symbol('EVENT_LOOP_LAG');

@Module({})
export class PlatformMetricsModule implements OnApplicationShutdown {
  constructor(@Inject(EVENT_LOOP_LAG) private readonly lag: EventLoopLag) {}

  static forRoot(build: BuildInfo): DynamicModule {
    if (register.getSingleMetric(BUILD_INFO_METRIC) !== undefined) register.clear();
    exposeBuildInfo(register, build);
    const grpcMetrics = { provide: GRPC_SERVER_METRICS, useValue: grpcServerMetrics(register) };
    const lag = { provide: EVENT_LOOP_LAG, useFactory: () => watchEventLoopLag(register) };
    return {
      module: PlatformMetricsModule,
      global: true,
      imports: [PrometheusModule.register({ global: true, path: '/metrics' })],
      providers: [grpcMetrics, lag],
      exports: [grpcMetrics],
    };
  }

  onApplicationShutdown(): void {
    this.lag.close();
  }
}
