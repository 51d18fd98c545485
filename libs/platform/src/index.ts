/**
 * Public face of the platform: configuration, logging, metrics, health, lifecycle, and the way Nest
 * controllers are served over our gRPC transport.
 */
export * from './config/address.js';
export * from './config/cli-environment.js';
export * from './config/config.module.js';
export * from './config/constraints.js';
export * from './config/describe.js';
export * from './config/duration.js';
export * from './config/environment.js';
export { configDirectories } from './config/file.js';
export { type CommandDescription, helpText, type Program } from './config/flags.js';
export * from './config/load.js';
export { type ConfigProblem, formatProblem, SECRET_MASK } from './config/problem.js';
export type { ResolvedSetting } from './config/resolve.js';
export * from './config/client-tls.js';
export * from './config/server-tls.js';
export * from './config/setting.js';
export type { ConfigClass } from './config/validate.js';
export { linkGrpcHealth } from './health/grpc-health.js';
export * from './health/health-registry.js';
export { PlatformHealthModule } from './health/health.module.js';
export { HeapRoom } from './lifecycle/heap-room.js';
export { helperThreadsAdvice } from './lifecycle/helper-threads.js';
export * from './lifecycle/lifecycle.js';
export { lowerProcessPriority } from './lifecycle/priority.js';
export * from './lifecycle/run-app.js';
export * from './logging/level.js';
export * from './logging/logger.js';
export { NestLogger } from './logging/nest-logger.js';
export * from './metrics/grpc-server-metrics.js';
export * from './metrics/metrics.module.js';
export * from './metrics/process-metrics.js';
export * from './metrics/tallied-histogram.js';
export * from './nest/grpc-methods.js';
export * from './nest/grpc-status.js';
export { connectGrpc, GrpcStrategy } from './nest/grpc-strategy.js';
export * from './platform-error.js';
