/**
 * The health service `grpc.health.v1` on any `GrpcServer`.
 *
 * In: what the app says of its services. Out: answers to Check, Watch and List.
 *
 * Must never answer SERVING for a name the app has not set.
 */
import { HealthImplementation } from 'grpc-health-check';
import { serviceHost } from './service-adapter.js';
import { type GrpcServer } from './transport.js';

export type ServingStatus = 'UNKNOWN' | 'SERVING' | 'NOT_SERVING';

export interface HealthService {
  /** The status of a service by its full name; `''` is the server as a whole. */
  setServingStatus(service: string, status: ServingStatus): void;
}

/** Adds the service; the server as a whole is NOT_SERVING until the app says otherwise. */
export function addHealthService(server: GrpcServer): HealthService {
  const health = new HealthImplementation({ '': 'NOT_SERVING' });
  // The package wants a whole server but calls its `addService` only.
  health.addToServer(serviceHost(server));
  return {
    setServingStatus: (service, status) => health.setStatus(service, status),
  };
}
