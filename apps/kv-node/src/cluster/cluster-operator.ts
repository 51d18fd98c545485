/**
 * What the leader of the catalog looks after: the cluster's id, the members of the catalog, and that
 * tables lie where they should.
 *
 * Every step is a conditional change of the catalog or a change of its members; whoever leads next
 * goes on from there. A few tables move at a time, the rest waits.
 */
import { ConfChangeType, HostError } from '@flotilla/raft';
import { flotillaV1 } from '@flotilla/proto';
import { type Logger } from '@flotilla/platform';
import {
  CLUSTER_ID_KEY,
  decodeRow,
  encodeNode,
  encodeRow,
  nodeKey,
  rowKey,
} from '../catalog/catalog-rows.js';
import { type Catalog } from '../catalog/catalog.service.js';
import { drawUuid, type NodeClock } from '../node/node-clock.js';
import {
  NODE_STATES,
  type NodeInfo,
  type NodeState,
  type TableInfo,
} from '../catalog/catalog-state.js';
import { planMoves, type Move } from '../placement/plan-moves.js';
import { nextCatalogStep, type CatalogStep } from './catalog-members.js';
import { type ClusterView } from './cluster-view.js';
import { hasCaughtUp } from './table-mover.js';

/** Tables whose replicas move at a time. */
export const MOVES_IN_FLIGHT_MAX = 4;
/** Tables that get another preferred leader in one look. */
export const LEADER_MOVES_MAX = 64;
const STEP_TIMEOUT_MS = 5_000;
/** Placement is looked at when something changed, and after so many looks in any case. */
const LOOKS_WITHOUT_PLAN_MAX = 20;
/** Plans made one after another to say what a rebalance would do. */
const PLANS_MAX = 10_000;

export class ClusterOperator {
  private running: Promise<void> | undefined;
  private plannedFor = '';
  private looksWithoutPlan = 0;

  constructor(
    private readonly catalog: Catalog,
    private readonly view: ClusterView,
    private readonly self: number,
    private readonly replicasMax: number,
    private readonly logger: Logger,
    private readonly clock: NodeClock,
  ) {}

  /** Looks at everything once, if this node leads the catalog. */
  step(): Promise<void> {
    if (!this.catalog.group.isLeader) return Promise.resolve();
    this.running ??= this.look().finally(() => (this.running = undefined));
    return this.running;
  }

  /**
   * All moves that lead to balance, as they would be made one after another; those that are being
   * made count as done once their turn is needed.
   */
  plan(): Move[] {
    const load = this.view.load.clone();
    const tables = new Map(this.view.state.tablesById);
    const moves: Move[] = [];
    for (let round = 0; round < PLANS_MAX; round++) {
      const next = planMoves({ ...this.planInput(), tables: tables.values(), load });
      if (next.length === 0 && !endMoves(tables)) break;
      for (const move of next) {
        const table = tables.get(move.tableId);
        if (!table) continue;
        const { to: replicas, preferredLeader } = move;
        load.remove(table);
        tables.set(move.tableId, { ...table, replicas, preferredLeader });
        load.add({ ...table, replicas, preferredLeader });
        moves.push(move);
      }
    }
    return moves;
  }

  private planInput() {
    return {
      nodes: this.view.placementNodes(),
      load: this.view.load,
      replicasMax: this.replicasMax,
      movesMax: MOVES_IN_FLIGHT_MAX,
      leaderMovesMax: LEADER_MOVES_MAX,
    };
  }

  private async look(): Promise<void> {
    const deadlineMs = this.catalog.deadline(STEP_TIMEOUT_MS);
    try {
      if (this.catalog.state.clusterId === '') await this.nameCluster(deadlineMs);
      await this.stepCatalog(deadlineMs);
      if (this.mayHaveMoves()) await this.beginMoves(deadlineMs);
    } catch (error) {
      // The catalog moved on, or has no majority now; the next look begins anew.
      if (!(error instanceof HostError)) throw error;
    }
  }

  /** Whether anything changed that placement depends on since it was in order. */
  private mayHaveMoves(): boolean {
    const nodes = this.view.placementNodes().map(({ id, state, alive }) => [id, state, alive]);
    const now = JSON.stringify([this.catalog.appliedIndex, nodes]);
    if (now === this.plannedFor && ++this.looksWithoutPlan < LOOKS_WITHOUT_PLAN_MAX) return false;
    this.plannedFor = now;
    this.looksWithoutPlan = 0;
    return true;
  }

  private async beginMoves(deadlineMs: number): Promise<void> {
    const { tablesById } = this.view.state;
    const moves = planMoves({ ...this.planInput(), tables: tablesById.values() });
    // The rows the plan was made from: one that changes while others are written is left alone.
    const planned = moves.map((move) => ({ move, table: tablesById.get(move.tableId) }));
    for (const { move, table } of planned) {
      if (table) await this.begin(move, table, deadlineMs);
    }
  }

  private async nameCluster(deadlineMs: number): Promise<void> {
    const id = Buffer.from(drawUuid(this.clock));
    await this.catalog.replace(CLUSTER_ID_KEY, undefined, id, deadlineMs);
  }

  private async stepCatalog(deadlineMs: number): Promise<void> {
    const { group } = this.catalog;
    const progress = group.progress();
    const { lastIndex } = group.status();
    const step = nextCatalogStep({
      self: this.self,
      nodes: this.view.state.nodes,
      confState: group.confState(),
      hasCaughtUp: (node) => hasCaughtUp(progress.get(node), lastIndex),
      isEmpty: (node) => this.view.isEmpty(node),
      isAlive: (node) => this.view.isAlive(node),
    });
    if (step.kind !== 'none') await this.make(step, deadlineMs);
  }

  private async make(step: CatalogStep, deadlineMs: number): Promise<void> {
    this.logger.info({ ...step }, 'the cluster changes');
    switch (step.kind) {
      case 'add-learner':
        return this.change(ConfChangeType.AddLearnerNode, step.node, deadlineMs);
      case 'promote':
        return this.change(ConfChangeType.AddNode, step.node, deadlineMs);
      case 'remove':
        return this.change(ConfChangeType.RemoveNode, step.node, deadlineMs);
      case 'activate':
        return this.setNode(step.node, { state: 'active' }, deadlineMs);
      case 'succeed':
        await this.setNode(step.predecessor, { state: 'leaving' }, deadlineMs);
        return this.setNode(step.node, { replaces: 0 }, deadlineMs);
      case 'retire':
        return this.setNode(step.node, { state: 'removed' }, deadlineMs);
      case 'hand-over':
        return this.catalog.group.transferLeader(step.to);
      case 'none':
        return;
    }
  }

  private async change(type: ConfChangeType, nodeId: number, deadlineMs: number): Promise<void> {
    const context = new Uint8Array(0);
    await this.catalog.group.proposeConfChange({ type, nodeId, context }, deadlineMs);
  }

  private async setNode(
    id: number,
    fields: { readonly state?: NodeState; readonly replaces?: number },
    deadlineMs: number,
  ): Promise<void> {
    const node = this.view.state.nodes.get(id);
    if (!node || (fields.state === 'leaving' && node.state === 'removed')) return;
    const row = encodeNode(changedNode(node, fields));
    await this.catalog.replace(nodeKey(id), node.stored, row, deadlineMs);
  }

  private async begin(move: Move, table: TableInfo, deadlineMs: number): Promise<void> {
    if (move.reason !== 'leaders') {
      const { from, to, reason } = move;
      this.logger.info({ table: table.name, from, to, reason }, 'a table moves');
    }
    const row = encodeRow({
      ...decodeRow(table.stored),
      replicas: move.to.map(BigInt),
      movingFrom: move.reason === 'leaders' ? [] : move.from.map(BigInt),
      preferredLeader: BigInt(move.preferredLeader),
    });
    await this.catalog.replace(rowKey(table), table.stored, row, deadlineMs);
  }
}

/** Takes all moves for done; false if there was none. */
function endMoves(tables: Map<number, TableInfo>): boolean {
  let hasEnded = false;
  for (const [id, table] of tables) {
    if (table.movingFrom.length === 0) continue;
    tables.set(id, { ...table, movingFrom: [] });
    hasEnded = true;
  }
  return hasEnded;
}

/** The row of a node with some fields changed. */
export function changedNode(
  node: NodeInfo,
  fields: { readonly state?: NodeState; readonly replaces?: number },
): flotillaV1.NodeRow {
  const row = flotillaV1.NodeRow.decode(node.stored);
  const state = NODE_STATES.indexOf(fields.state ?? node.state);
  return {
    ...row,
    state: state as flotillaV1.NodeRow_State,
    replaces: BigInt(fields.replaces ?? node.replaces),
  };
}
