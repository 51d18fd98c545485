/**
 * Passes the readiness of the app on to `grpc.health.v1`: the server as a whole and each service named
 * are SERVING while the app is ready. The returned function ends that.
 */
import { type HealthService } from '@flotilla/grpc';
import { type HealthRegistry } from './health-registry.js';

export function linkGrpcHealth(
  registry: HealthRegistry,
  health: HealthService,
  services: readonly string[],
): () => void {
  return registry.onReadiness((ready) => {
    for (const service of ['', ...services]) {
      health.setServingStatus(service, ready ? 'SERVING' : 'NOT_SERVING');
    }
  });
}
