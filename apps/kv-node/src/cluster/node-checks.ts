/**
 * What a request to add or change a node may say; the texts name the field of the request.
 */
import { type NodeInfo } from '../catalog/catalog-state.js';

export const NODE_NAME_CHARS_MAX = 255;
const HOST_PORT = /^(\[[0-9a-fA-F:.%]+\]|[^\s:/@?#]+):(\d{1,5})$/;
const PORT_MAX = 65_535;
const CONTROL = /\p{Cc}/u;

export interface NewNode {
  /** 0 for the next one that was never used. */
  readonly id: number;
  readonly name: string;
  readonly raftAddress: string;
  /** 0 for none. */
  readonly replaces: number;
}

/** Why the node cannot be added; undefined when it can. */
export function whyNodeRefused(
  node: NewNode,
  nodes: ReadonlyMap<number, NodeInfo>,
): string | undefined {
  const match = HOST_PORT.exec(node.raftAddress);
  if (!match || Number(match[2]) === 0 || Number(match[2]) > PORT_MAX) {
    return `raft_address must be host:port, not "${node.raftAddress}"`;
  }
  if (node.name.length > NODE_NAME_CHARS_MAX || CONTROL.test(node.name)) {
    return `name must be at most ${NODE_NAME_CHARS_MAX} characters, none of them a control character`;
  }
  if (!Number.isSafeInteger(node.id) || node.id < 0) return 'id is too large';
  const same = nodes.get(node.id);
  if (same) {
    const how = same.state === 'removed' ? 'was used by a node that was removed' : 'is in use';
    return `id ${node.id} ${how}: an id is never used twice`;
  }
  for (const other of nodes.values()) {
    if (other.state !== 'removed' && other.raftAddress === node.raftAddress) {
      return `raft_address ${node.raftAddress} is that of node ${other.id}`;
    }
  }
  return node.replaces === 0 ? undefined : whyNotReplaced(node.replaces, nodes);
}

/** The lowest id above all that were ever used. */
export function nextNodeId(nodes: ReadonlyMap<number, NodeInfo>): number {
  return Math.max(0, ...nodes.keys()) + 1;
}

/** Why a node cannot leave; undefined when it can. */
export function whyNotRemoved(
  id: number,
  nodes: ReadonlyMap<number, NodeInfo>,
): string | undefined {
  const node = nodes.get(id);
  if (!node) return `id ${id} is no member of the cluster`;
  if (node.state === 'removed') return `id ${id} was removed already`;
  const others = [...nodes.values()].filter(
    ({ id: other, state }) => other !== id && state === 'active',
  );
  return others.length === 0 ? `id ${id} is the only active node` : undefined;
}

function whyNotReplaced(id: number, nodes: ReadonlyMap<number, NodeInfo>): string | undefined {
  const node = nodes.get(id);
  if (!node) return `replaces ${id}: no member of the cluster`;
  return node.state === 'removed' ? `replaces ${id}: was removed already` : undefined;
}
