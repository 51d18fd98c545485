/**
 * Keeps this node's row in the catalog right: that it is there, whose data folder it has, and where
 * it is reached.
 *
 *   first member, no row     --> writes one, active
 *   announced, no identity   --> writes its identity; it becomes active once it has caught up
 *   another identity         --> this node is not the one the cluster knows: it must not go on
 */
import { flotillaV1 } from '@flotilla/proto';
import { encodeNode, nodeKey, type NodeRow } from '../catalog/catalog-rows.js';
import { type Catalog } from '../catalog/catalog.service.js';
import { type NodeInfo } from '../catalog/catalog-state.js';

export interface Registration {
  readonly nodeId: number;
  readonly identity: string;
  readonly name: string;
  readonly raftAddress: string;
  readonly clientUrl: string;
  /** Whether this node was one of those that founded the cluster. */
  readonly isFounder: boolean;
}

const TIMEOUT_MS = 5_000;

/** True when the row is right; false when it has to be looked at again. Rejects with HostError. */
export async function register(
  catalog: Catalog,
  own: Registration,
  onStranger: (reason: string) => void,
): Promise<boolean> {
  const row = catalog.state.nodes.get(own.nodeId);
  if (!row) return own.isFounder ? write(catalog, own, undefined) : false;
  if (row.state === 'removed') {
    onStranger(`node ${own.nodeId} was removed from the cluster; its id is never used again`);
    return false;
  }
  if (row.identity !== '' && row.identity !== own.identity) {
    onStranger(
      `node ${own.nodeId} of this cluster has another data folder: a node that lost its data joins ` +
        'anew with a new id (flotilla cluster replace)',
    );
    return false;
  }
  const isRight =
    row.identity === own.identity &&
    row.raftAddress === own.raftAddress &&
    row.clientUrl === own.clientUrl &&
    row.name === own.name;
  return isRight || write(catalog, own, row);
}

function write(
  catalog: Catalog,
  own: Registration,
  before: NodeInfo | undefined,
): Promise<boolean> {
  const { nodeId, identity, name, raftAddress, clientUrl } = own;
  const stored = before && flotillaV1.NodeRow.decode(before.stored);
  const state = stored?.state ?? flotillaV1.NodeRow_State.ACTIVE;
  const replaces = stored?.replaces ?? 0n;
  const id = BigInt(nodeId);
  const row: NodeRow = { id, name, raftAddress, clientUrl, identity, state, replaces };
  const deadlineMs = catalog.deadline(TIMEOUT_MS);
  return catalog.replace(nodeKey(nodeId), before?.stored, encodeNode(row), deadlineMs);
}
