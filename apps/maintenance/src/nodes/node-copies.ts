/**
 * The copies that a follower cluster holds, and how one is given up (`flotilla.replication.v1.ReplicaApply`).
 *
 * In: the ways to the nodes. Out: what there is. A copy that is given up is pulled again by whoever holds
 * its lease next; until that is done the table is not there.
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
  giveUp(copy: Copy): Promise<void>;
}

export class NodeCopies implements Copies {
  constructor(private readonly ways: NodeWays) {}

  async list(): Promise<readonly Copy[]> {
    const request = applyV1.ListReplicasRequest.encode({}).finish();
    const answer = await this.ways.call(`${SERVICE}/ListReplicas`, request, CALL_MS);
    return applyV1.ListReplicasResponse.decode(answer).replicas;
  }

  /** Leaves alone what is a copy of something else by now. */
  async giveUp({ table, source }: Copy): Promise<void> {
    const request = applyV1.DeleteReplicaRequest.encode({ table, source }).finish();
    await this.ways.call(`${SERVICE}/DeleteReplica`, request, CALL_MS);
  }
}
