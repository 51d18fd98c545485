/**
 * The leader cluster over gRPC, as servers of Regatta serve it (`replication.v1`).
 *
 * In: settings as Regatta's follower has them. Out: the port that pullers read from. One pool of
 * connections for all tables; a gateway that goes without a word is found out by pings.
 */
import {
  type ClientTlsOptions,
  createGrpcClient,
  type GrpcClient,
  parseAddress,
} from '@flotilla/grpc';
import { hot, replicationV1 } from '@flotilla/proto';
import { type ReplicationConfig } from '../config/gateway-config.js';
import { type LeaderCluster } from './ports.js';

/** First and longest pause before a broken connection is made again. */
const RECONNECT_MS_MIN = 50;
const RECONNECT_MS_MAX = 1_000;
const METADATA_MS = 5_000;

const METADATA_GET = '/replication.v1.Metadata/Get';
const REPLICATE = '/replication.v1.Log/Replicate';
const SNAPSHOT_STREAM = '/replication.v1.Snapshot/Stream';

const { MetadataResponse, ReplicateRequest, SnapshotChunk, SnapshotRequest, Table_Type } =
  replicationV1;

export interface LeaderConnection extends LeaderCluster {
  /** Idempotent. Calls still open fail. */
  close(): void;
}

/** Throws GrpcError for addresses and TLS settings that cannot be. */
export function connectLeaderCluster(config: ReplicationConfig): LeaderConnection {
  const addresses = config.leaderAddresses.map((text) =>
    parseAddress(text, 'replication.leader-address'),
  );
  const client = createGrpcClient(addresses, {
    receiveBytesMax: config.receiveMessageBytesMax,
    keepalive: { timeMs: config.keepaliveTimeMs, timeoutMs: config.keepaliveTimeoutMs },
    reconnectMinMs: RECONNECT_MS_MIN,
    reconnectMaxMs: RECONNECT_MS_MAX,
    ...(config.token !== '' && { metadata: { authorization: `Bearer ${config.token}` } }),
    ...(addresses.some(({ secure }) => secure) && { tls: tlsOf(config) }),
  });
  return leaderClusterOver(client, config);
}

/** The same over a client that is there. */
export function leaderClusterOver(
  client: GrpcClient,
  timeouts: Pick<ReplicationConfig, 'logRpcTimeoutMs' | 'snapshotRpcTimeoutMs'>,
): LeaderConnection {
  return {
    async tables(signal) {
      const options = { signal, deadlineMs: METADATA_MS };
      const answer = await client.unary(METADATA_GET, new Uint8Array(0), options);
      const { tables } = MetadataResponse.decode(answer);
      return tables.filter(({ type }) => type !== Table_Type.LOCAL).map(({ name }) => name);
    },
    async *log(table, from, signal) {
      const fields = { table: Buffer.from(table), leaderIndex: BigInt(from) };
      const request = ReplicateRequest.encode(fields).finish();
      const options = { signal, deadlineMs: timeouts.logRpcTimeoutMs };
      for await (const message of client.serverStream(REPLICATE, request, options)) {
        yield hot.decodeReplicateResponse(message);
      }
    },
    async *snapshot(table, signal) {
      const request = SnapshotRequest.encode({ table: Buffer.from(table) }).finish();
      const options = { signal, deadlineMs: timeouts.snapshotRpcTimeoutMs };
      for await (const message of client.serverStream(SNAPSHOT_STREAM, request, options)) {
        yield SnapshotChunk.decode(message).data;
      }
    },
    close: () => client.close(),
  };
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
