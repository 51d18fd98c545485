/**
 * A replication gateway of either role. In: settings. Out: something that starts and stops.
 */
import { type Lifecycle, type LoadedConfig, type Logger } from '@flotilla/platform';
import { type GatewayConfig } from './config/gateway-config.js';
import { FollowerGateway } from './follower-gateway.js';
import { LeaderGateway } from './leader-gateway.js';

/** Where the gateway serves, for the log and for whoever started it. */
export interface ServedAddresses {
  /** In a leader cluster. */
  readonly replicationAddress?: string;
  readonly restAddress: string;
}

export interface Gateway {
  readonly lifecycle: Lifecycle;
  /** Set once the gateway serves. */
  readonly addresses: ServedAddresses | undefined;
  /** Takes readiness away, so that no new work is sent here. */
  startDraining(reason: string): void;
}

export function createGateway(loaded: LoadedConfig<GatewayConfig>, logger: Logger): Gateway {
  return loaded.command === 'follower'
    ? new FollowerGateway(loaded, logger)
    : new LeaderGateway(loaded, logger);
}
