/**
 * `flotilla.replication.v1.ReplicaApply` over bytes: decode, have it done, encode.
 *
 * In: a gRPC server. Out: its methods registered on it. Served in follower clusters alone, and guarded
 * like the changes of tables: whoever may call it may write into every copy.
 */
import { type CallContext, type GrpcServer } from '@flotilla/grpc';
import { applyV1 } from '@flotilla/proto';
import { malformed, toStatus } from '../kv/errors.js';
import { type ReplicaApply } from './replica-apply.js';

export const REPLICA_APPLY_SERVICE = 'flotilla.replication.v1.ReplicaApply';

interface Codec<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): { finish(): Uint8Array };
}

export function registerReplicaApi(server: GrpcServer, apply: ReplicaApply): void {
  const unary = (
    method: string,
    handle: (bytes: Buffer, call: CallContext) => Promise<Uint8Array>,
  ): void => {
    server.register(`/${REPLICA_APPLY_SERVICE}/${method}`, 'unary', handle);
  };
  const typed = <Q, A>(
    method: string,
    [request, response]: readonly [Codec<Q>, Codec<A>],
    handle: (request: Q) => A | Promise<A>,
  ): void => {
    unary(method, async (bytes) => response.encode(await handle(decoded(request, bytes))).finish());
  };
  const v1 = applyV1;
  typed('ListReplicas', [v1.ListReplicasRequest, v1.ListReplicasResponse], () => apply.list());
  typed('CreateReplica', [v1.CreateReplicaRequest, v1.CreateReplicaResponse], (request) =>
    apply.create(request),
  );
  typed('DeleteReplica', [v1.DeleteReplicaRequest, v1.DeleteReplicaResponse], (request) =>
    apply.delete(request),
  );
  typed('AcquireLease', [v1.AcquireLeaseRequest, v1.AcquireLeaseResponse], (request) =>
    apply.acquire(request),
  );
  typed('ReleaseLease', [v1.ReleaseLeaseRequest, v1.ReleaseLeaseResponse], (request) =>
    apply.release(request),
  );
  typed('RaiseGeneration', [v1.RaiseGenerationRequest, v1.RaiseGenerationResponse], (request) =>
    apply.raise(request),
  );
  unary('Apply', async (bytes, call) => {
    decoded(v1.ApplyReplicatedRequest, bytes);
    try {
      return (await apply.apply(bytes, call, 0)).answer;
    } catch (error) {
      throw toStatus(error);
    }
  });
  unary('ReportPositions', async (bytes) => {
    decoded(v1.ReportPositionsRequest, bytes);
    await apply.report(bytes);
    return v1.ReportPositionsResponse.encode({}).finish();
  });
}

function decoded<T>(codec: Codec<T>, bytes: Buffer): T {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw malformed(error);
  }
}
