/**
 * Which nodes belong to the catalog's group, and as what: all of them hold it, a few vote.
 *
 * Pure: from the rows of the nodes and the group's configuration to the one next step. Nodes come in
 * as learners; once they have caught up they are active, and vote while there are not enough voters.
 * Nodes that leave are taken out when nothing lies on them any more.
 */
import { type ConfState } from '@flotilla/raft';
import { type NodeInfo } from '../catalog/catalog-state.js';

/** A majority of five survives two; more voters only make every change slower. */
export const CATALOG_VOTERS_MAX = 5;

export type CatalogStep =
  | { readonly kind: 'none' }
  | { readonly kind: 'add-learner'; readonly node: number }
  | { readonly kind: 'promote'; readonly node: number }
  | { readonly kind: 'remove'; readonly node: number }
  /** The node has caught up: tables may be placed on it. */
  | { readonly kind: 'activate'; readonly node: number }
  /** Its successor is active: it leaves. */
  | { readonly kind: 'succeed'; readonly node: number; readonly predecessor: number }
  /** Nothing lies on it any more: it is no member now. */
  | { readonly kind: 'retire'; readonly node: number }
  /** This node leads the catalog and is to leave. */
  | { readonly kind: 'hand-over'; readonly to: number };

export interface CatalogFacts {
  readonly self: number;
  readonly nodes: ReadonlyMap<number, NodeInfo>;
  readonly confState: ConfState;
  hasCaughtUp(node: number): boolean;
  /** Whether no table is, or is to be, on the node. */
  isEmpty(node: number): boolean;
  isAlive(node: number): boolean;
}

export function nextCatalogStep(facts: CatalogFacts): CatalogStep {
  const { nodes, confState } = facts;
  if (confState.votersOutgoing.length > 0) return { kind: 'none' };
  for (const node of nodes.values()) {
    const step = stepFor(node, facts);
    if (step) return step;
  }
  return { kind: 'none' };
}

function stepFor(node: NodeInfo, facts: CatalogFacts): CatalogStep | undefined {
  const { voters, learners } = facts.confState;
  const { id, state } = node;
  const isMember = voters.includes(id) || learners.includes(id);
  if (state === 'removed') return isMember ? { kind: 'remove', node: id } : undefined;
  if (state === 'leaving') return stepForLeaving(node, facts);
  if (!isMember) return { kind: 'add-learner', node: id };
  if (state === 'joining') {
    const isReady = node.identity !== '' && facts.isAlive(id) && facts.hasCaughtUp(id);
    return isReady ? { kind: 'activate', node: id } : undefined;
  }
  const { replaces } = node;
  if (replaces !== 0) return { kind: 'succeed', node: id, predecessor: replaces };
  const mayVote = learners.includes(id) && facts.isAlive(id) && facts.hasCaughtUp(id);
  return mayVote && voters.length < CATALOG_VOTERS_MAX ? { kind: 'promote', node: id } : undefined;
}

function stepForLeaving({ id }: NodeInfo, facts: CatalogFacts): CatalogStep | undefined {
  if (!facts.isEmpty(id)) return undefined;
  if (id !== facts.self) {
    // Somebody has to be left who votes.
    const others = facts.confState.voters.filter((voter) => voter !== id);
    return others.length > 0 ? { kind: 'retire', node: id } : undefined;
  }
  const heir = facts.confState.voters.find(
    (voter) => voter !== id && facts.isAlive(voter) && facts.nodes.get(voter)?.state === 'active',
  );
  return heir === undefined ? undefined : { kind: 'hand-over', to: heir };
}
