/**
 * Which tables have to be moved, from where to where, so that every table has its copies and every
 * node its share.
 *
 *   1. tables on their way to a node that is gone for good go elsewhere
 *   2. tables that lack copies get more, and copies on nodes that are drained or leave go to others;
 *      the tables with the fewest living copies first (`repair-table.ts`)
 *   3. copies go from the fullest node to the emptiest, while they differ by more than one
 *   4. the same for leaders, which moves no data
 *
 * Pure, and asked again and again: it plans a few moves at a time, and none once all is well. Any other
 * table that moves, and one that has lost its majority, is left alone. That a node does not answer is no
 * reason to move anything: only operators decide that a node is gone.
 */
import { chooseLeader } from './choose-replicas.js';
import { type PlacedTable, type PlacementLoad, type PlacementNode } from './placement-load.js';
import {
  countLiving,
  needsRepair,
  redirectedReplicas,
  repairedReplicas,
  type RepairFacts,
} from './repair-table.js';

export type MoveReason = 'under-replicated' | 'drained' | 'unbalanced' | 'leaders';

export interface Move {
  readonly tableId: number;
  /** Who holds the table now, or may hold some of it because it was on its way there. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly preferredLeader: number;
  readonly reason: MoveReason;
}

export interface PlanInput {
  readonly nodes: readonly PlacementNode[];
  readonly tables: Iterable<PlacedTable>;
  /** Load of `tables`; not changed. */
  readonly load: PlacementLoad;
  readonly replicasMax: number;
  /** Tables whose copies may move at a time, those that move already included. */
  readonly movesMax: number;
  /** Tables whose leader may be changed by one plan. */
  readonly leaderMovesMax: number;
}

/** A difference of one cannot be made any smaller. */
const DIFFERENCE_MAX = 1;

export function planMoves(input: PlanInput): Move[] {
  return new Planner(input).plan();
}

class Planner implements RepairFacts {
  readonly wanted: number;
  private readonly byId: ReadonlyMap<number, PlacementNode>;
  private readonly targets: readonly PlacementNode[];
  private readonly load: PlacementLoad;
  private readonly tables: readonly PlacedTable[];
  private readonly moving: readonly PlacedTable[];
  private readonly moves = new Map<number, Move>();
  private movesLeft: number;

  constructor(private readonly input: PlanInput) {
    this.byId = new Map(input.nodes.map((node) => [node.id, node]));
    this.targets = input.nodes.filter(({ state, alive }) => state === 'active' && alive);
    const active = input.nodes.filter(({ state }) => state === 'active').length;
    this.wanted = Math.max(1, Math.min(input.replicasMax, active));
    this.load = input.load.clone();
    const all = [...input.tables];
    this.moving = all.filter(({ movingFrom }) => movingFrom.length > 0);
    this.tables = all.filter(
      ({ movingFrom, replicas }) => movingFrom.length === 0 && this.mayMove(replicas),
    );
    this.movesLeft = input.movesMax - this.moving.length;
  }

  plan(): Move[] {
    for (const table of this.moving) this.redirect(table);
    this.repair();
    this.balanceReplicas();
    this.balanceLeaders();
    return [...this.moves.values()];
  }

  stays(id: number): boolean {
    return this.byId.get(id)?.state === 'active';
  }

  isAlive(id: number): boolean {
    return this.byId.get(id)?.alive === true;
  }

  emptiest(without: readonly number[]): number | undefined {
    let best: number | undefined;
    for (const { id } of this.targets) {
      if (without.includes(id)) continue;
      if (best === undefined || this.load.replicasOf(id) < this.load.replicasOf(best)) best = id;
    }
    return best;
  }

  /** A change needs the majority of those who hold the table now. */
  private mayMove(holders: readonly number[]): boolean {
    return countLiving(holders, this) * 2 > holders.length;
  }

  /** Counts among those that move already: it takes nobody's turn. */
  private redirect(table: PlacedTable): void {
    if (!this.mayMove(table.movingFrom)) return;
    const to = redirectedReplicas(table, this);
    if (to) this.move(table, to, 'drained');
  }

  private repair(): void {
    if (this.movesLeft <= 0) return;
    const broken = this.tables.filter((table) => needsRepair(table, this));
    const living = new Map(broken.map(({ id, replicas }) => [id, countLiving(replicas, this)]));
    broken.sort((a, b) => (living.get(a.id) ?? 0) - (living.get(b.id) ?? 0));
    for (const table of broken) {
      if (this.movesLeft <= 0) return;
      const to = repairedReplicas(table, this);
      if (!to) continue;
      const isDrained = table.replicas.some((id) => !this.stays(id));
      this.move(table, to, isDrained ? 'drained' : 'under-replicated');
      this.movesLeft--;
    }
  }

  private balanceReplicas(): void {
    while (this.movesLeft > 0) {
      const order = [...this.targets].sort(
        (a, b) => this.load.replicasOf(b.id) - this.load.replicasOf(a.id) || a.id - b.id,
      );
      if (!this.moveOneFromFullest(order)) return;
    }
  }

  private moveOneFromFullest(order: readonly PlacementNode[]): boolean {
    for (const full of order) {
      for (let at = order.length - 1; at >= 0; at--) {
        const empty = order[at];
        if (empty === undefined || empty.id === full.id) break;
        const difference = this.load.replicasOf(full.id) - this.load.replicasOf(empty.id);
        if (difference <= DIFFERENCE_MAX) break;
        const table = this.findFor(full.id, empty.id);
        if (!table) continue;
        const to = table.replicas.map((id) => (id === full.id ? empty.id : id));
        this.move(table, to, 'unbalanced');
        this.movesLeft--;
        return true;
      }
    }
    return false;
  }

  private findFor(from: number, to: number): PlacedTable | undefined {
    return this.tables.find(
      ({ id, replicas }) =>
        !this.moves.has(id) && replicas.includes(from) && !replicas.includes(to),
    );
  }

  private balanceLeaders(): void {
    let left = this.input.leaderMovesMax;
    for (const table of this.tables) {
      if (left <= 0) return;
      if (this.moves.has(table.id)) continue;
      const better = this.betterLeader(table);
      if (better === undefined) continue;
      this.load.remove(table);
      this.load.add({ ...table, preferredLeader: better });
      const { id, replicas } = table;
      this.moves.set(id, {
        tableId: id,
        from: replicas,
        to: replicas,
        preferredLeader: better,
        reason: 'leaders',
      });
      left--;
    }
  }

  private betterLeader({ replicas, preferredLeader }: PlacedTable): number | undefined {
    const candidates = this.nodesOf(replicas).filter(({ id, alive }) => alive && this.stays(id));
    const best = chooseLeader(candidates, this.load);
    if (best === 0 || best === preferredLeader) return undefined;
    // Where the leader is to be on a node that is away for a while, it stays meant to be there.
    if (!replicas.includes(preferredLeader) || !this.stays(preferredLeader)) return best;
    const gain = this.load.leadersOf(preferredLeader) - this.load.leadersOf(best);
    return gain > DIFFERENCE_MAX ? best : undefined;
  }

  private move(table: PlacedTable, to: readonly number[], reason: MoveReason): void {
    const sorted = [...to].sort((a, b) => a - b);
    this.load.remove(table);
    const keeps = sorted.includes(table.preferredLeader) && this.stays(table.preferredLeader);
    const candidates = this.nodesOf(sorted).filter(({ id }) => this.stays(id));
    const preferredLeader = keeps
      ? table.preferredLeader
      : chooseLeader(candidates.length > 0 ? candidates : this.nodesOf(sorted), this.load);
    this.load.add({ ...table, replicas: sorted, preferredLeader });
    const from = [...new Set([...table.movingFrom, ...table.replicas])];
    this.moves.set(table.id, { tableId: table.id, from, to: sorted, preferredLeader, reason });
  }

  private nodesOf(ids: readonly number[]): PlacementNode[] {
    return ids.flatMap((id) => this.byId.get(id) ?? []);
  }
}
