/**
 * The extension of the Cluster API (`flotilla.cluster.v1`): looks at a running cluster and changes it.
 */
import { type clusterV1 } from '@flotilla/proto';
import { LOADED_CONFIG, type LoadedConfig } from '@flotilla/platform';
import { Controller, Inject } from '@nestjs/common';
import { GrpcMethod, Payload } from '@nestjs/microservices';
import { Catalog } from '../catalog/catalog.service.js';
import { type NodeInfo, type TableInfo } from '../catalog/catalog-state.js';
import { type KvNodeConfig } from '../config/kv-node-config.js';
import { invalid, withStatus } from '../kv/errors.js';
import { type PromotedCopy, Promotion } from '../promotion/promotion.js';
import { TableRegistry } from '../tables/table-registry.js';
import { ClusterChanges } from './cluster-changes.js';
import { ClusterOperator } from './cluster-operator.js';
import { ClusterView } from './cluster-view.js';

const BARRIER_TIMEOUT_MS = 5_000;

export const CLUSTER_CHANGES_SERVICE = 'flotilla.cluster.v1.Cluster';
/** The name under which Nest knows it: `Cluster` is that of Regatta's. */
export const CLUSTER_CHANGES = 'ClusterChanges';

@Controller()
export class ClusterChangesController {
  constructor(
    @Inject(LOADED_CONFIG) private readonly loaded: LoadedConfig<KvNodeConfig>,
    private readonly catalog: Catalog,
    private readonly view: ClusterView,
    private readonly tables: TableRegistry,
    private readonly operator: ClusterOperator,
    private readonly changes: ClusterChanges,
    private readonly promotion: Promotion,
  ) {}

  @GrpcMethod(CLUSTER_CHANGES, 'ListNodes')
  listNodes(): clusterV1.ListNodesResponse {
    const { nodes, clusterId } = this.catalog.state;
    const { clusterName } = this.loaded.config.memberlist;
    const sorted = [...nodes.values()].sort((a, b) => a.id - b.id);
    return { clusterName, clusterId, nodes: sorted.map((node) => this.describe(node)) };
  }

  @GrpcMethod(CLUSTER_CHANGES, 'ListPlacements')
  listPlacements(
    @Payload() { table }: clusterV1.ListPlacementsRequest,
  ): clusterV1.ListPlacementsResponse {
    const { tables } = this.catalog.state;
    const only = tables.get(table);
    if (table !== '' && !only) throw invalid('table not found');
    const listed = only ? [only] : [...tables.values()].sort((a, b) => a.id - b.id);
    return { placements: listed.map((info) => this.placement(info)) };
  }

  @GrpcMethod(CLUSTER_CHANGES, 'AddNode')
  async addNode(@Payload() request: clusterV1.AddNodeRequest): Promise<clusterV1.AddNodeResponse> {
    const { raftAddress, name } = request;
    const [wantedId, replaces] = [Number(request.id), Number(request.replaces)];
    const id = await withStatus(
      this.changes.addNode({ id: wantedId, name, raftAddress, replaces }),
    );
    const members = [...this.catalog.state.nodes.values()]
      .filter(({ state }) => state !== 'removed' && state !== 'joining')
      .map((node) => [node.id, node.raftAddress] as const);
    const all = [...members, [id, raftAddress] as const];
    return {
      id: BigInt(id),
      initialMembers: all.map(([node, address]) => `${node}=${address}`).join(','),
    };
  }

  @GrpcMethod(CLUSTER_CHANGES, 'RemoveNode')
  async removeNode(
    @Payload() { id }: clusterV1.RemoveNodeRequest,
  ): Promise<clusterV1.RemoveNodeResponse> {
    await withStatus(this.changes.removeNode(Number(id)));
    return {};
  }

  @GrpcMethod(CLUSTER_CHANGES, 'DrainNode')
  async drainNode(
    @Payload() { id, undo }: clusterV1.DrainNodeRequest,
  ): Promise<clusterV1.DrainNodeResponse> {
    await withStatus(this.changes.drainNode(Number(id), undo));
    return {};
  }

  @GrpcMethod(CLUSTER_CHANGES, 'Rebalance')
  async rebalance(
    @Payload() { dryRun }: clusterV1.RebalanceRequest,
  ): Promise<clusterV1.RebalanceResponse> {
    // What was said to another node a moment ago counts.
    await withStatus(this.catalog.barrier(this.catalog.deadline(BARRIER_TIMEOUT_MS)));
    const moves = this.operator.plan();
    if (!dryRun) await this.operator.step();
    return {
      moves: moves.map(({ tableId, from, to, preferredLeader }) => ({
        table: this.catalog.state.tablesById.get(tableId)?.name ?? '',
        from: from.map(BigInt),
        to: to.map(BigInt),
        preferredLeader: BigInt(preferredLeader),
      })),
    };
  }

  @GrpcMethod(CLUSTER_CHANGES, 'TransferLeader')
  async transferLeader(
    @Payload() { table, to }: clusterV1.TransferLeaderRequest,
  ): Promise<clusterV1.TransferLeaderResponse> {
    const leader = await withStatus(this.changes.transferLeader(table, Number(to)));
    return { leader: BigInt(leader) };
  }

  @GrpcMethod(CLUSTER_CHANGES, 'Promote')
  async promote(
    @Payload() { dryRun, acceptIncomplete }: clusterV1.PromoteRequest,
  ): Promise<clusterV1.PromoteResponse> {
    const { promotion } = this;
    const report = dryRun ? await promotion.report() : await promotion.promote(acceptIncomplete);
    return {
      generation: BigInt(report.generation),
      followedClusterId: report.followedClusterId,
      tables: report.tables.map(promotedOnWire),
      promoted: promotion.isPromoted,
      left: BigInt(promotion.left),
    };
  }

  private describe(node: NodeInfo): clusterV1.Node {
    const { id, name, raftAddress, clientUrl, state } = node;
    const { voters, learners } = this.catalog.group.confState();
    const catalogRole = voters.includes(id) ? 'voter' : learners.includes(id) ? 'learner' : '';
    return {
      id: BigInt(id),
      name,
      raftAddress,
      clientUrl,
      state,
      alive: this.view.isAlive(id),
      replicas: BigInt(this.view.load.replicasOf(id)),
      preferredLeaders: BigInt(this.view.load.leadersOf(id)),
      catalogRole,
      catalogLeader: this.catalog.group.status().leader === id,
    };
  }

  private placement(info: TableInfo): clusterV1.Placement {
    const leader = this.tables.get(info.id)?.group.status().leader ?? 0;
    return {
      table: info.name,
      id: BigInt(info.id),
      replicas: info.replicas.map(BigInt),
      movingFrom: info.movingFrom.map(BigInt),
      preferredLeader: BigInt(info.preferredLeader),
      leader: BigInt(leader),
    };
  }
}

function promotedOnWire(copy: PromotedCopy): clusterV1.PromotedTable {
  const { table, revision, leaderRevision, lagMs, problem, isIncomplete } = copy;
  return {
    table,
    revision: BigInt(revision),
    ...(leaderRevision !== undefined && { leaderRevision: BigInt(leaderRevision) }),
    ...(lagMs !== undefined && { lagMs: BigInt(lagMs) }),
    problem,
    incomplete: isIncomplete,
  };
}
