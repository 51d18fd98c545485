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
import { type CopySource, type LeaderCluster, type LeaderTables, type LogStream } from './ports.js';

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

/** What copies are of that were made by this protocol: it tells neither ids nor epochs. */
export const POLLED_SOURCE: CopySource = { tableId: 0, epoch: 1 };

/** Throws GrpcError for addresses and TLS settings that cannot be. */
export function connectLeaderCluster(config: ReplicationConfig): LeaderConnection {
  return polledLeaderOver(leaderClient(config, config.leaderAddresses), config);
}

/** One client of some of the addresses, which are taken in turn. */
export function leaderClient(config: ReplicationConfig, from: readonly string[]): GrpcClient {
  const addresses = from.map((text) => parseAddress(text, 'replication.leader-address'));
  return createGrpcClient(addresses, {
    receiveBytesMax: config.receiveMessageBytesMax,
    keepalive: { timeMs: config.keepaliveTimeMs, timeoutMs: config.keepaliveTimeoutMs },
    reconnectMinMs: RECONNECT_MS_MIN,
    reconnectMaxMs: RECONNECT_MS_MAX,
    ...(config.token !== '' && { metadata: { authorization: `Bearer ${config.token}` } }),
    ...(addresses.some(({ secure }) => secure) && { tls: tlsOf(config) }),
  });
}

/** The same over a client that is there. */
export function polledLeaderOver(
  client: GrpcClient,
  timeouts: Pick<ReplicationConfig, 'logRpcTimeoutMs' | 'snapshotRpcTimeoutMs'>,
): LeaderConnection {
  return {
    known: undefined,
    changed: untilAborted,
    async tables(signal) {
      const options = { signal, deadlineMs: METADATA_MS };
      const answer = await client.unary(METADATA_GET, new Uint8Array(0), options);
      const { tables } = MetadataResponse.decode(answer);
      const named = tables.filter(({ type }) => type !== Table_Type.LOCAL);
      return polledTables(named.map(({ name }) => name));
    },
    log({ table }, { from }, signal) {
      const fields = { table: Buffer.from(table), leaderIndex: BigInt(from) };
      const request = ReplicateRequest.encode(fields).finish();
      const options = { signal, deadlineMs: timeouts.logRpcTimeoutMs };
      return polledLog(client.serverStream(REPLICATE, request, options));
    },
    snapshot({ table }) {
      const request = SnapshotRequest.encode({ table: Buffer.from(table) }).finish();
      const deadlineMs = timeouts.snapshotRpcTimeoutMs;
      const open = (signal: AbortSignal) =>
        snapshotData(client.serverStream(SNAPSHOT_STREAM, request, { signal, deadlineMs }));
      return Promise.resolve({ kind: 'pairs', open });
    },
    close: () => client.close(),
  };
}

/** Tables of which no more than the names is known: none of them is ever known to be gone. */
export function polledTables(names: readonly string[]): LeaderTables {
  const sources = new Map(names.map((name) => [name, POLLED_SOURCE]));
  return { sources, isPushed: false, isDeleted: () => false };
}

/** A poll: what is read of it is held by its reader alone. */
export function polledLog(messages: AsyncIterable<Buffer>): LogStream {
  return {
    mayLeaveOut: false,
    applied: () => undefined,
    async *[Symbol.asyncIterator]() {
      for await (const message of messages) yield hot.decodeReplicateResponse(message);
    },
  };
}

async function* snapshotData(
  messages: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const message of messages) yield SnapshotChunk.decode(message).data;
}

/** Nothing says that tables have changed. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
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
