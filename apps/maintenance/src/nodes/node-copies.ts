/**
 * The copies that a follower cluster holds, and how one is wanted anew (`flotilla.replication.v1.ReplicaApply`).
 *
 * In: the ways to the nodes. Out: what there is. A copy that is wanted anew is filled out of sight by whoever
 * holds its lease; until that is done the old one is served.
 */
import { applyV1 } from '@flotilla/proto';
import { type NodeWays } from './node-ways.js';

const SERVICE = '/flotilla.replication.v1.ReplicaApply';
const CALL_MS = 10_000;

export interface Copy {
  readonly table: string;
  readonly source: applyV1.ReplicaSource | undefined;
}

export interface Copies {
  list(): Promise<readonly Copy[]>;
  /** False if there is no such copy any more. */
  renew(copy: Copy): Promise<boolean>;
}

export class NodeCopies implements Copies {
  constructor(private readonly ways: NodeWays) {}

  async list(): Promise<readonly Copy[]> {
    const request = applyV1.ListReplicasRequest.encode({}).finish();
    const answer = await this.ways.call(`${SERVICE}/ListReplicas`, request, CALL_MS);
    return applyV1.ListReplicasResponse.decode(answer).replicas;
  }

  /** Leaves alone what is a copy of something else by now. */
  async renew({ table, source }: Copy): Promise<boolean> {
    const request = applyV1.RenewReplicaRequest.encode({ table, source }).finish();
    const answer = await this.ways.call(`${SERVICE}/RenewReplica`, request, CALL_MS);
    const { outcome } = applyV1.RenewReplicaResponse.decode(answer);
    return outcome === applyV1.RenewReplicaResponse_Outcome.WANTED;
  }
}
