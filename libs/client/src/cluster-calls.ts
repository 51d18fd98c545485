/**
 * The calls of `flotilla.cluster.v1`: who the nodes are, what lies where, and how that is changed.
 *
 * Numbers are numbers here; looking is tried again on another node, changing is not.
 */
import { clusterV1 as v1 } from '@flotilla/proto';
import type { Codec } from './methods.js';
import type { CallOptions } from './types.js';

/** How the client makes a call. */
export type MakeCall = <Request, Answer>(
  codec: Codec<Request, Answer>,
  message: Request,
  options?: CallOptions,
) => Promise<Answer>;

export interface NodeDescription {
  readonly id: number;
  readonly name: string;
  readonly raftAddress: string;
  readonly clientUrl: string;
  /** joining, active, drained, leaving or removed. */
  readonly state: string;
  readonly alive: boolean;
  readonly replicas: number;
  readonly preferredLeaders: number;
  /** voter, learner or empty. */
  readonly catalogRole: string;
  readonly catalogLeader: boolean;
}

export interface NodeList {
  readonly clusterName: string;
  readonly clusterId: string;
  readonly nodes: readonly NodeDescription[];
}

export interface PlacementDescription {
  readonly table: string;
  readonly id: number;
  readonly replicas: readonly number[];
  readonly movingFrom: readonly number[];
  readonly preferredLeader: number;
  /** 0 if the node that answers does not know. */
  readonly leader: number;
}

export interface NewNode {
  readonly raftAddress: string;
  readonly id?: number;
  readonly name?: string;
  readonly replaces?: number;
}

export interface AddedNode {
  readonly id: number;
  /** Setting to start the new node with. */
  readonly initialMembers: string;
}

export interface PlannedMove {
  readonly table: string;
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly preferredLeader: number;
}

/** A copy as a promotion finds it. */
export interface PromotedTable {
  readonly table: string;
  readonly revision: number;
  /** As last heard; undefined if never. */
  readonly leaderRevision: number | undefined;
  /** Revisions that the leader cluster had and this cluster has not, as far as it is known. */
  readonly missing: number | undefined;
  readonly lagMs: number | undefined;
  /** Empty if all is well. */
  readonly problem: string;
}

export interface Promotion {
  /** The cluster's from then on. */
  readonly generation: number;
  /** Id of the leader cluster; empty if it never heard one. */
  readonly followed: string;
  readonly promoted: boolean;
  readonly tables: readonly PromotedTable[];
}

const path = (method: string) => `/flotilla.cluster.v1.Cluster/${method}`;
const LIST_NODES = {
  path: path('ListNodes'),
  request: v1.ListNodesRequest,
  answer: v1.ListNodesResponse,
  isRead: true,
};
const LIST_PLACEMENTS = {
  path: path('ListPlacements'),
  request: v1.ListPlacementsRequest,
  answer: v1.ListPlacementsResponse,
  isRead: true,
};
const ADD_NODE = {
  path: path('AddNode'),
  request: v1.AddNodeRequest,
  answer: v1.AddNodeResponse,
  isRead: false,
};
const REMOVE_NODE = {
  path: path('RemoveNode'),
  request: v1.RemoveNodeRequest,
  answer: v1.RemoveNodeResponse,
  isRead: false,
};
const DRAIN_NODE = {
  path: path('DrainNode'),
  request: v1.DrainNodeRequest,
  answer: v1.DrainNodeResponse,
  isRead: false,
};
const REBALANCE = {
  path: path('Rebalance'),
  request: v1.RebalanceRequest,
  answer: v1.RebalanceResponse,
  isRead: false,
};
const TRANSFER_LEADER = {
  path: path('TransferLeader'),
  request: v1.TransferLeaderRequest,
  answer: v1.TransferLeaderResponse,
  isRead: false,
};

const PROMOTE = {
  path: path('Promote'),
  request: v1.PromoteRequest,
  answer: v1.PromoteResponse,
  isRead: false,
};

export class ClusterCalls {
  constructor(private readonly call: MakeCall) {}

  async listNodes(options?: CallOptions): Promise<NodeList> {
    const { clusterName, clusterId, nodes } = await this.call(LIST_NODES, {}, options);
    return {
      clusterName,
      clusterId,
      nodes: nodes.map((node) => ({
        ...node,
        id: Number(node.id),
        replicas: Number(node.replicas),
        preferredLeaders: Number(node.preferredLeaders),
      })),
    };
  }

  /** Of one table, or of all of them. */
  async listPlacements(table = '', options?: CallOptions): Promise<PlacementDescription[]> {
    const { placements } = await this.call(LIST_PLACEMENTS, { table }, options);
    return placements.map((placement) => ({
      table: placement.table,
      id: Number(placement.id),
      replicas: placement.replicas.map(Number),
      movingFrom: placement.movingFrom.map(Number),
      preferredLeader: Number(placement.preferredLeader),
      leader: Number(placement.leader),
    }));
  }

  async addNode(node: NewNode, options?: CallOptions): Promise<AddedNode> {
    const { raftAddress, id = 0, name = '', replaces = 0 } = node;
    const message = { raftAddress, id: BigInt(id), name, replaces: BigInt(replaces) };
    const answer = await this.call(ADD_NODE, message, options);
    return { id: Number(answer.id), initialMembers: answer.initialMembers };
  }

  async removeNode(id: number, options?: CallOptions): Promise<void> {
    await this.call(REMOVE_NODE, { id: BigInt(id) }, options);
  }

  async drainNode(id: number, undo = false, options?: CallOptions): Promise<void> {
    await this.call(DRAIN_NODE, { id: BigInt(id), undo }, options);
  }

  async rebalance(dryRun = false, options?: CallOptions): Promise<PlannedMove[]> {
    // A dry run changes nothing.
    const { moves } = await this.call({ ...REBALANCE, isRead: dryRun }, { dryRun }, options);
    return moves.map((move) => ({
      table: move.table,
      from: move.from.map(Number),
      to: move.to.map(Number),
      preferredLeader: Number(move.preferredLeader),
    }));
  }

  /** What a promotion would find; changes nothing. */
  async promotionReport(options?: CallOptions): Promise<Promotion> {
    const request = { dryRun: true, acceptIncomplete: false };
    return toPromotion(await this.call({ ...PROMOTE, isRead: true }, request, options));
  }

  /** Makes a follower cluster a leader cluster, for good. Copies are taken over soon after. */
  async promote(acceptIncomplete = false, options?: CallOptions): Promise<Promotion> {
    const request = { dryRun: false, acceptIncomplete };
    return toPromotion(await this.call(PROMOTE, request, options));
  }

  /** Returns the node that leads the table then. */
  async transferLeader(table: string, to = 0, options?: CallOptions): Promise<number> {
    return Number((await this.call(TRANSFER_LEADER, { table, to: BigInt(to) }, options)).leader);
  }
}

function toPromotion(answer: v1.PromoteResponse): Promotion {
  const { generation, followedClusterId, promoted, tables } = answer;
  return {
    generation: Number(generation),
    followed: followedClusterId,
    promoted,
    tables: tables.map(({ table, revision, leaderRevision, lagMs, problem }) => ({
      table,
      revision: Number(revision),
      leaderRevision: leaderRevision === undefined ? undefined : Number(leaderRevision),
      missing:
        leaderRevision === undefined ? undefined : Math.max(0, Number(leaderRevision - revision)),
      lagMs: lagMs === undefined ? undefined : Number(lagMs),
      problem,
    })),
  };
}
