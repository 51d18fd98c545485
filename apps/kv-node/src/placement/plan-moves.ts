/**
 * Which tables have to be moved, from where to where, so that every table has its copies and every
 * node its share.
 *
 *   1. tables with fewer copies than there should be get more
 *   2. copies on nodes that are drained or leave go to others
 *   3. copies go from the fullest node to the emptiest, while they differ by more than one
 *   4. the same for leaders, which moves no data
 *
 * Pure, and asked again and again: it plans a few moves at a time, and none once all is well. A table
 * that moves, or that has lost its majority, is left alone. That a node does not answer is no reason
 * to move anything: only operators decide that a node is gone.
 */
import { chooseLeader } from './choose-replicas.js';
import { type PlacedTable, type PlacementLoad, type PlacementNode } from './placement-load.js';

export type MoveReason = 'under-replicated' | 'drained' | 'unbalanced' | 'leaders';

export interface Move {
  readonly tableId: number;
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

class Planner {
  private readonly byId: ReadonlyMap<number, PlacementNode>;
  private readonly targets: readonly PlacementNode[];
  private readonly load: PlacementLoad;
  private readonly tables: PlacedTable[];
  private readonly wanted: number;
  private readonly moves = new Map<number, Move>();
  private movesLeft: number;

  constructor(private readonly input: PlanInput) {
    this.byId = new Map(input.nodes.map((node) => [node.id, node]));
    this.targets = input.nodes.filter(({ state, alive }) => state === 'active' && alive);
    const active = input.nodes.filter(({ state }) => state === 'active').length;
    this.wanted = Math.max(1, Math.min(input.replicasMax, active));
    this.load = input.load.clone();
    const all = [...input.tables];
    this.tables = all.filter((table) => table.movingFrom.length === 0 && this.mayMove(table));
    this.movesLeft = input.movesMax - all.filter(({ movingFrom }) => movingFrom.length > 0).length;
  }

  plan(): Move[] {
    for (const table of this.tables) this.repair(table);
    this.balanceReplicas();
    this.balanceLeaders();
    return [...this.moves.values()];
  }

  /** A change needs the majority of those who hold the table now. */
  private mayMove({ replicas }: PlacedTable): boolean {
    const living = replicas.filter((id) => this.byId.get(id)?.alive === true);
    return living.length * 2 > replicas.length;
  }

  private stays(id: number): boolean {
    return this.byId.get(id)?.state === 'active';
  }

  private repair(table: PlacedTable): void {
    if (this.movesLeft <= 0) return;
    const staying = table.replicas.filter((id) => this.stays(id));
    const leaving = table.replicas.length - staying.length;
    const to = [...staying];
    // One by one: a table is never more than one copy short while it moves.
    if (leaving > 1) to.push(...this.keepBut(table, staying));
    while (to.length < this.wanted) {
      const next = this.emptiest(to);
      if (next === undefined) break;
      to.push(next);
    }
    if (to.length === 0 || sameSet(to, table.replicas)) return;
    this.move(table, to, leaving > 0 ? 'drained' : 'under-replicated');
  }

  /** Of the copies that have to go, all but one wait for the next move. */
  private keepBut(table: PlacedTable, staying: readonly number[]): number[] {
    const going = table.replicas.filter((id) => !staying.includes(id));
    return going.slice(1);
  }

  private emptiest(without: readonly number[]): number | undefined {
    let best: number | undefined;
    for (const { id } of this.targets) {
      if (without.includes(id)) continue;
      if (best === undefined || this.load.replicasOf(id) < this.load.replicasOf(best)) best = id;
    }
    return best;
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
    this.moves.set(table.id, {
      tableId: table.id,
      from: table.replicas,
      to: sorted,
      preferredLeader,
      reason,
    });
    this.movesLeft--;
  }

  private nodesOf(ids: readonly number[]): PlacementNode[] {
    return ids.flatMap((id) => this.byId.get(id) ?? []);
  }
}

function sameSet(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}
