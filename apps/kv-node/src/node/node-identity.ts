/**
 * The identity of a data folder: made once, never changed, so that a node that lost its data cannot
 * pass for the one that had it.
 *
 * In: the folder of the Raft log, the node's id and the cluster's name. Out: the identity. A folder
 * that belongs to another node or cluster is refused by name.
 */
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { makeDurableFolder, syncFolder } from './durable-folder.js';

const FILE = 'identity.json';

export interface NodeIdentity {
  readonly identity: string;
  /** Whether the node joined a running cluster, instead of founding one with others. */
  readonly joined: boolean;
}

interface Stored extends NodeIdentity {
  readonly nodeId: number;
  readonly clusterName: string;
}

export class NodeIdentityError extends Error {
  override readonly name = 'NodeIdentityError';
  readonly code = 'node-identity';
  readonly retryable = false;
}

/** Whether a node has lived here. It has a log then, which is made before the identity. */
export function hasNodeIdentity(folder: string): boolean {
  return existsSync(join(folder, FILE));
}

/**
 * `joins` counts at the first start only: how a node began stays. Throws NodeIdentityError when the
 * folder belongs to another node.
 */
export function nodeIdentity(
  folder: string,
  nodeId: number,
  clusterName: string,
  joins: boolean,
): NodeIdentity {
  makeDurableFolder(folder);
  const file = join(folder, FILE);
  if (!existsSync(file)) {
    return create(file, { identity: randomUUID(), joined: joins, nodeId, clusterName });
  }
  const stored = read(file);
  if (stored.nodeId !== nodeId) {
    const text = `${folder} belongs to node ${stored.nodeId}, but raft.node-id is ${nodeId}`;
    throw new NodeIdentityError(`${text}: start it with its own id, or use another data-dir`);
  }
  if (stored.clusterName !== clusterName) {
    const text = `${folder} belongs to cluster "${stored.clusterName}"`;
    throw new NodeIdentityError(`${text}, but memberlist.cluster-name is "${clusterName}"`);
  }
  return stored;
}

function create(file: string, stored: Stored): NodeIdentity {
  const unfinished = `${file}.tmp`;
  try {
    const handle = openSync(unfinished, 'w');
    try {
      writeFileSync(handle, `${JSON.stringify(stored)}\n`);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(unfinished, file);
    syncFolder(dirname(file));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NodeIdentityError(`${file} could not be written: ${reason}`, { cause });
  }
  return stored;
}

function read(file: string): Stored {
  const text = readFileSync(file, 'utf8');
  try {
    const { identity, nodeId, clusterName, joined = false } = JSON.parse(text) as Partial<Stored>;
    if (typeof identity === 'string' && typeof nodeId === 'number' && clusterName !== undefined) {
      return { identity, nodeId, clusterName, joined };
    }
  } catch (cause) {
    throw new NodeIdentityError(`${file} is damaged: restore it from a copy`, { cause });
  }
  throw new NodeIdentityError(`${file} is damaged: restore it from a copy`);
}
