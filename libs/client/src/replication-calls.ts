/**
 * The calls of `flotilla.replication.v1.ReplicationStatus`: how the copies of a cluster stand.
 *
 * Numbers are numbers here; what the answering node does not know is undefined.
 */
import { statusV1 as v1 } from '@flotilla/proto';
import type { MakeCall } from './cluster-calls.js';
import type { CallOptions } from './types.js';

export interface TableReplication {
  readonly table: string;
  /** In the cluster that answers. */
  readonly id: number;
  /** False: a table of the cluster's own. */
  readonly isCopy: boolean;
  readonly revision: number | undefined;
  readonly leaderRevision: number | undefined;
  readonly lagRevisions: number | undefined;
  /** For how long the leader cluster has had more than is here. */
  readonly lagMs: number | undefined;
  /** Holder of the lease; empty if nobody has it. */
  readonly gateway: string;
  /** What its gateway does for it; empty if none has told lately. */
  readonly state: string;
  /** Kind of what is wrong; empty if nothing is. */
  readonly lastError: string;
  readonly snapshotBytes: number;
  /** 0 if nobody knows it. */
  readonly snapshotBytesTotal: number;
  readonly receivedBytes: number;
}

export interface ReplicationState {
  readonly nodeId: number;
  readonly clusterId: string;
  /** leader or follower. */
  readonly role: string;
  readonly generation: number;
  readonly tables: readonly TableReplication[];
}

const GET = {
  path: '/flotilla.replication.v1.ReplicationStatus/Get',
  request: v1.GetStatusRequest,
  answer: v1.GetStatusResponse,
  isRead: true,
};

export class ReplicationCalls {
  constructor(private readonly call: MakeCall) {}

  /** Of one table, or of all of them. */
  async status(table = '', options?: CallOptions): Promise<ReplicationState> {
    const { nodeId, clusterId, role, generation, tables } = await this.call(
      GET,
      { table },
      options,
    );
    return {
      nodeId: Number(nodeId),
      clusterId,
      role,
      generation: Number(generation),
      tables: tables.map(toReplication),
    };
  }
}

function toReplication(table: v1.TableReplication): TableReplication {
  const { gateway, state, lastError, isCopy } = table;
  return {
    table: table.table,
    id: Number(table.tableId),
    isCopy,
    revision: known(table.revision),
    leaderRevision: known(table.leaderRevision),
    lagRevisions: known(table.lagRevisions),
    lagMs: known(table.lagMs),
    gateway,
    state,
    lastError,
    snapshotBytes: Number(table.snapshotBytes),
    snapshotBytesTotal: Number(table.snapshotBytesTotal),
    receivedBytes: Number(table.receivedBytes),
  };
}

function known(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
