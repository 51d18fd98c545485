/**
 * `flotilla.replication.v1.ReplicaApply` over bytes: decode, have it done, encode.
 *
 * In: a gRPC server. Out: its methods registered on it. Served in follower clusters alone, and guarded
 * like the changes of tables: whoever may call it may write into every copy.
 */
import { type CallContext, type GrpcServer } from '@flotilla/grpc';
import { applyV1 } from '@flotilla/proto';
import { toStatus } from '../kv/errors.js';
import { decoded, typedUnary } from '../kv/typed-unary.js';
import { type ReplicaApply } from './replica-apply.js';
import { type ReplicaLeases } from './replica-leases.js';

export const REPLICA_APPLY_SERVICE = 'flotilla.replication.v1.ReplicaApply';

export function registerReplicaApi(
  server: GrpcServer,
  apply: ReplicaApply,
  leases: ReplicaLeases,
): void {
  const unary = (
    method: string,
    handle: (bytes: Buffer, call: CallContext) => Promise<Uint8Array>,
  ): void => {
    server.register(`/${REPLICA_APPLY_SERVICE}/${method}`, 'unary', handle);
  };
  const typed = typedUnary(server, REPLICA_APPLY_SERVICE);
  const v1 = applyV1;
  typed('ListReplicas', [v1.ListReplicasRequest, v1.ListReplicasResponse], () => apply.list());
  typed('CreateReplica', [v1.CreateReplicaRequest, v1.CreateReplicaResponse], (request) =>
    apply.create(request),
  );
  typed('DeleteReplica', [v1.DeleteReplicaRequest, v1.DeleteReplicaResponse], (request) =>
    apply.delete(request),
  );
  typed('RenewReplica', [v1.RenewReplicaRequest, v1.RenewReplicaResponse], (request) =>
    apply.renew(request),
  );
  typed('HoldSession', [v1.HoldSessionRequest, v1.HoldSessionResponse], (request) =>
    leases.hold(request),
  );
  typed('EndSession', [v1.EndSessionRequest, v1.EndSessionResponse], (request) =>
    leases.end(request),
  );
  typed('TakeLeases', [v1.TakeLeasesRequest, v1.TakeLeasesResponse], (request) =>
    leases.take(request),
  );
  typed('GiveBackLeases', [v1.GiveBackLeasesRequest, v1.GiveBackLeasesResponse], (request) =>
    leases.giveBack(request),
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
    return v1.ReportPositionsResponse.encode(await apply.report(bytes)).finish();
  });
}
