/**
 * The cluster as this node sees it: what the catalog says, and which nodes it hears from.
 *
 * Keeps the load of each node up to date as tables come, change and go.
 */
import { type CatalogChange, type CatalogState, type TableInfo } from '../catalog/catalog-state.js';
import { PlacementLoad, type PlacementNode } from '../placement/placement-load.js';

export interface Liveness {
  isAlive(node: number): boolean;
}

export class ClusterView {
  readonly load = new PlacementLoad();

  constructor(
    readonly state: CatalogState,
    private readonly liveness: Liveness,
  ) {
    for (const table of state.tablesById.values()) this.load.add(table);
  }

  follow(changes: readonly CatalogChange[]): void {
    for (const change of changes) {
      if (change.kind !== 'table') continue;
      if (change.before) this.load.remove(change.before);
      if (change.now) this.load.add(change.now);
    }
  }

  placementNodes(): PlacementNode[] {
    return Array.from(this.state.nodes.values(), ({ id, state }) => ({
      id,
      state,
      alive: this.liveness.isAlive(id),
    }));
  }

  isAlive(node: number): boolean {
    return this.liveness.isAlive(node);
  }

  /** Whether any table is, or is to be, on the node. */
  isEmpty(node: number): boolean {
    if (this.load.replicasOf(node) > 0) return false;
    for (const id of this.state.moving) {
      const table: TableInfo | undefined = this.state.tablesById.get(id);
      if (table?.movingFrom.includes(node)) return false;
    }
    return true;
  }
}
