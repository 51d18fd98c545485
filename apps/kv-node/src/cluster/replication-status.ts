/**
 * How replication stands, as one node knows it: `flotilla.replication.v1.ReplicationStatus`.
 *
 *   catalog        tables, what they are copies of, who holds their leases
 *   copies here    revisions                       lag board      where the leader cluster stands
 *   puller board   what gateways do, and where copies stand that have no replica here
 *
 * In: the parts of a node of either role. Out: one description a table, for the command line, the
 * status of the cluster and the metrics. It asks nobody: what is not known here is not told.
 */
import { type GrpcServer } from '@flotilla/grpc';
import { statusV1 } from '@flotilla/proto';
import { type Catalog } from '../catalog/catalog.service.js';
import { type TableInfo } from '../catalog/catalog-state.js';
import { type FollowerNode } from '../follower/follower-node.js';
import { malformed, tableNotFound } from '../kv/errors.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type TableRegistry } from '../tables/table-registry.js';

export const REPLICATION_STATUS_SERVICE = 'flotilla.replication.v1.ReplicationStatus';

export interface ReplicationStatusParts {
  readonly runtime: NodeRuntime;
  readonly catalog: Catalog;
  readonly tables: TableRegistry;
  /** Undefined where the node was started as one of a leader cluster. */
  readonly follower: FollowerNode | undefined;
}

/** How one table stands; what is not known is undefined. */
export interface TableStanding {
  readonly info: TableInfo;
  readonly revision: number | undefined;
  readonly leaderRevision: number | undefined;
  readonly lagRevisions: number | undefined;
  readonly lagMs: number | undefined;
  /** Holder of the lease; empty if nobody has it. */
  readonly gateway: string;
  /** Empty if no gateway has told it lately. */
  readonly state: string;
  readonly lastError: string;
  readonly snapshotBytes: number;
  readonly snapshotBytesTotal: number;
  readonly receivedBytes: number;
}

export type Role = 'leader' | 'follower';

const NOT_PULLED = {
  leaderRevision: undefined,
  lagRevisions: undefined,
  lagMs: undefined,
  gateway: '',
  state: '',
  lastError: '',
  snapshotBytes: 0,
  snapshotBytesTotal: 0,
  receivedBytes: 0,
};

export class ReplicationStatus {
  constructor(private readonly parts: ReplicationStatusParts) {}

  get role(): Role {
    const { follower, catalog } = this.parts;
    return follower && !catalog.state.cluster.promoted ? 'follower' : 'leader';
  }

  register(server: GrpcServer): void {
    server.register(`/${REPLICATION_STATUS_SERVICE}/Get`, 'unary', (bytes) => {
      let request: statusV1.GetStatusRequest;
      try {
        request = statusV1.GetStatusRequest.decode(bytes);
      } catch (error) {
        throw malformed(error);
      }
      return statusV1.GetStatusResponse.encode(this.get(request.table)).finish();
    });
  }

  /** Of one table, or of all where the name is empty. */
  get(table: string): statusV1.GetStatusResponse {
    const { runtime, catalog } = this.parts;
    const only = catalog.state.tables.get(table);
    if (table !== '' && !only) throw tableNotFound();
    return {
      nodeId: BigInt(runtime.host.nodeId),
      clusterId: catalog.state.clusterId,
      role: this.role,
      generation: BigInt(this.generation),
      tables: (only ? [this.standing(only)] : this.standings()).map(onWire),
    };
  }

  /** Of a follower cluster the highest that it has followed. */
  get generation(): number {
    const { state } = this.parts.catalog;
    return this.role === 'leader' ? state.generation : state.cluster.generation;
  }

  /** In the order of names. */
  standings(): TableStanding[] {
    const tables = [...this.parts.catalog.state.tables.values()];
    tables.sort((a, b) => (a.name < b.name ? -1 : 1));
    return tables.map((info) => this.standing(info));
  }

  standing(info: TableInfo): TableStanding {
    const { follower, tables } = this.parts;
    const here = tables.get(info.id)?.machine.state;
    if (!info.source || !follower || this.role === 'leader')
      return { ...NOT_PULLED, info, revision: here?.revision };
    const puller = follower.pullers.of(info.id);
    const known = [here?.leaderIndex, puller?.copyIndex].filter((index) => index !== undefined);
    const revision = known.length === 0 ? undefined : Math.max(...known);
    const lag = revision === undefined ? undefined : follower.lags.of(info.id, revision).lag;
    return {
      info,
      revision,
      leaderRevision: follower.lags.leaderRevision(info.id),
      lagRevisions: lag?.revisions,
      lagMs: lag?.ms,
      gateway: follower.leases.holderOf(info.id),
      state: puller?.state ?? '',
      lastError: puller?.lastError ?? '',
      snapshotBytes: puller?.snapshotBytes ?? 0,
      snapshotBytesTotal: puller?.snapshotBytesTotal ?? 0,
      receivedBytes: puller?.receivedBytes ?? 0,
    };
  }
}

function onWire(standing: TableStanding): statusV1.TableReplication {
  const { info, revision, leaderRevision, lagRevisions, lagMs } = standing;
  const { gateway, state, lastError } = standing;
  return {
    table: info.name,
    tableId: BigInt(info.id),
    isCopy: info.source !== undefined,
    revision: big(revision),
    leaderRevision: big(leaderRevision),
    lagRevisions: big(lagRevisions),
    lagMs: big(lagMs),
    gateway,
    state,
    lastError,
    snapshotBytes: BigInt(standing.snapshotBytes),
    snapshotBytesTotal: BigInt(standing.snapshotBytesTotal),
    receivedBytes: BigInt(standing.receivedBytes),
  };
}

function big(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(value);
}
