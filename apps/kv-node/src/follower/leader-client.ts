/**
 * The connections of a node to the replication addresses of its leader cluster.
 *
 * In: settings as Regatta's follower has them. Out: the port that writes leave by. One pool for all
 * calls; a gateway that does not answer is found out by pings.
 */
import { createGrpcClient, parseAddress, type ClientTlsOptions } from '@flotilla/grpc';
import { type ReplicationConfig } from '../config/kv-node-config.js';
import { type LeaderCluster } from './leader-writes.js';

/** First and longest pause before a broken connection is made again. */
const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 2_000;

/** Throws GrpcError for addresses and TLS settings that cannot be. */
export function connectLeaderCluster(config: ReplicationConfig): LeaderCluster {
  const addresses = config.leaderAddresses.map((text) =>
    parseAddress(text, 'replication.leader-address'),
  );
  const isSecure = addresses.some(({ secure }) => secure);
  return createGrpcClient(addresses, {
    receiveBytesMax: config.receiveMessageBytesMax,
    keepalive: { timeMs: config.keepaliveTimeMs, timeoutMs: config.keepaliveTimeoutMs },
    reconnectMinMs: RECONNECT_MIN_MS,
    reconnectMaxMs: RECONNECT_MAX_MS,
    ...(config.token !== '' && { metadata: { authorization: `Bearer ${config.token}` } }),
    ...(isSecure && { tls: tlsOf(config) }),
  });
}

function tlsOf(config: ReplicationConfig): ClientTlsOptions {
  const { certFilename, keyFilename, caFilename, serverName, insecureSkipVerify } = config;
  return {
    ...(caFilename !== '' && { caFile: caFilename }),
    ...(certFilename !== '' && { certFile: certFilename, keyFile: keyFilename }),
    ...(serverName !== '' && { serverName }),
    insecureSkipVerify,
  };
}
