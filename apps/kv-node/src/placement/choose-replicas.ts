/**
 * Where the replicas of a new table go: to the nodes that hold the fewest, the living ones first.
 *
 * Pure. The same nodes and load give the same choice; ties go around with the table's id, so that
 * tables spread even where nothing else tells nodes apart.
 */
import { type PlacementLoad, type PlacementNode } from './placement-load.js';

export interface ChosenReplicas {
  /** Node ids, ascending; empty when no node is active. */
  readonly replicas: readonly number[];
  readonly preferredLeader: number;
}

export interface ChoiceInput {
  readonly nodes: readonly PlacementNode[];
  readonly load: PlacementLoad;
  readonly tableId: number;
  readonly replicasMax: number;
}

export function chooseReplicas({ nodes, load, tableId, replicasMax }: ChoiceInput): ChosenReplicas {
  const active = nodes.filter(({ state }) => state === 'active');
  const order = rotated(active, tableId).sort(
    (a, b) => Number(b.alive) - Number(a.alive) || load.replicasOf(a.id) - load.replicasOf(b.id),
  );
  const chosen = order.slice(0, replicasMax);
  const replicas = chosen.map(({ id }) => id).sort((a, b) => a - b);
  return { replicas, preferredLeader: chooseLeader(chosen, load) };
}

/** Of these nodes the one that leads the fewest; the living ones first. 0 if there is none. */
export function chooseLeader(candidates: readonly PlacementNode[], load: PlacementLoad): number {
  let best: PlacementNode | undefined;
  for (const node of candidates) {
    if (best === undefined || isBetterLeader(node, best, load)) best = node;
  }
  return best?.id ?? 0;
}

function isBetterLeader(a: PlacementNode, b: PlacementNode, load: PlacementLoad): boolean {
  if (a.alive !== b.alive) return a.alive;
  return load.leadersOf(a.id) < load.leadersOf(b.id);
}

/** By id, beginning at another one for each table. */
export function rotated<T extends { readonly id: number }>(nodes: readonly T[], by: number): T[] {
  const sorted = [...nodes].sort((a, b) => a.id - b.id);
  if (sorted.length === 0) return sorted;
  const at = by % sorted.length;
  return [...sorted.slice(at), ...sorted.slice(0, at)];
}
