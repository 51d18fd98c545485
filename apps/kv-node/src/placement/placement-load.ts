/**
 * How much each node holds: replicas, and tables it is to lead. Kept up to date table by table, so
 * that ten thousand of them cost nothing to look at.
 */

/** A table as placement sees it. */
export interface PlacedTable {
  readonly id: number;
  readonly replicas: readonly number[];
  /** Nodes it is being moved from; empty when nothing moves. */
  readonly movingFrom: readonly number[];
  readonly preferredLeader: number;
}

export interface PlacementNode {
  readonly id: number;
  readonly state: 'joining' | 'active' | 'drained' | 'leaving' | 'removed';
  readonly alive: boolean;
}

export class PlacementLoad {
  private readonly replicas = new Map<number, number>();
  private readonly leaders = new Map<number, number>();

  add(table: PlacedTable): void {
    this.count(table, 1);
  }

  remove(table: PlacedTable): void {
    this.count(table, -1);
  }

  /** Tables that the node holds, or is to hold. */
  replicasOf(node: number): number {
    return this.replicas.get(node) ?? 0;
  }

  /** Tables that the node is to lead. */
  leadersOf(node: number): number {
    return this.leaders.get(node) ?? 0;
  }

  clone(): PlacementLoad {
    const copy = new PlacementLoad();
    for (const [node, count] of this.replicas) copy.replicas.set(node, count);
    for (const [node, count] of this.leaders) copy.leaders.set(node, count);
    return copy;
  }

  private count({ replicas, preferredLeader }: PlacedTable, change: 1 | -1): void {
    for (const node of replicas) bump(this.replicas, node, change);
    if (preferredLeader !== 0) bump(this.leaders, preferredLeader, change);
  }
}

function bump(counts: Map<number, number>, node: number, change: 1 | -1): void {
  counts.set(node, (counts.get(node) ?? 0) + change);
}
