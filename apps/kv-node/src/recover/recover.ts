/**
 * Makes one node the whole cluster again, after the majority of the nodes was lost for good: offline,
 * on the data folder of a node that survived.
 *
 *   every group here     whatever its log holds counts as committed; this node is its only voter
 *   catalog              other nodes are removed, tables have their one replica here, the cluster gets
 *                        a new id, so that nodes of before are refused
 *
 * Where the log ends before the state does, because its end was damaged and cut, the log goes on after
 * the state. It gives up what other nodes had acknowledged and this one did not have, and it may keep what was
 * never acknowledged. Without the accepting flag it only says what it would do.
 */
import { randomUUID } from 'node:crypto';
import { TableStateMachine } from '@flotilla/mvcc';
import { flotillaV1 } from '@flotilla/proto';
import { EntryType, type Entry, type GroupLog } from '@flotilla/raft';
import {
  CATALOG_GROUP,
  CLUSTER_ID_KEY,
  decodeRow,
  deleteCommand,
  encodeNode,
  encodeRow,
  nodeKey,
  replaceCommand,
  tableKey,
} from '../catalog/catalog-rows.js';
import { allRows } from '../catalog/catalog-scan.js';
import { CatalogState, type TableInfo } from '../catalog/catalog-state.js';
import { changedNode } from '../cluster/cluster-operator.js';
import { type NodeStorage } from '../node/node-storage.js';

export interface RecoveryPlan {
  readonly nodeId: number;
  /** Nodes that will be no members any more. */
  readonly removed: readonly number[];
  /** Tables that are kept, with the last entry that this node has. */
  readonly kept: readonly { readonly table: string; readonly lastIndex: number }[];
  /** Tables that this node holds nothing of. */
  readonly lost: readonly string[];
}

export class RecoveryError extends Error {
  override readonly name = 'RecoveryError';
  readonly code = 'recovery';
  readonly retryable = false;
}

const APPLY_BYTES_MAX = 4 * 1024 * 1024;

/** Reads the folder; with `execute` changes it, durably when the promise settles. */
export async function recoverNode(
  storage: NodeStorage,
  nodeId: number,
  execute: boolean,
): Promise<RecoveryPlan> {
  const { log, engine } = storage;
  const catalogLog = log.group(CATALOG_GROUP);
  if (!catalogLog.isStored) throw new RecoveryError('there is no catalog in this data folder');
  const machine = new TableStateMachine({ engine, tableId: CATALOG_GROUP });
  // What is committed would be applied by any start; what is not, only once it is decided to keep it.
  const { commit } = catalogLog.initialState().hardState;
  applyUpTo(machine, catalogLog, execute ? catalogLog.lastIndex() : commit);
  const state = readState(machine);
  const tables = [...state.tables.values()];
  const here = (table: TableInfo) => holds(log.group(table.id));
  const lastOf = (id: number) => Math.max(log.group(id).lastIndex(), appliedIndex(storage, id));
  const plan: RecoveryPlan = {
    nodeId,
    removed: [...state.nodes.values()]
      .filter(({ id, state: now }) => id !== nodeId && now !== 'removed')
      .map(({ id }) => id),
    kept: tables.filter(here).map(({ id, name }) => ({ table: name, lastIndex: lastOf(id) })),
    lost: tables.filter((table) => !here(table)).map(({ name }) => name),
  };
  if (!execute) return plan;
  const commands = catalogChanges(state, nodeId, here);
  await rewrite(storage, nodeId, commands);
  await engine.sync();
  return plan;
}

function holds(group: GroupLog): boolean {
  return group.isStored && group.lastIndex() > 0;
}

function applyUpTo(machine: TableStateMachine, log: GroupLog, last: number): void {
  for (;;) {
    const from = machine.state.appliedIndex + 1;
    if (from > last) return;
    const entries = log.entries(from, last + 1, APPLY_BYTES_MAX);
    machine.apply(
      entries.map(({ index, type, data }) => ({
        index,
        data: Buffer.from(type === EntryType.Normal ? data : []),
      })),
    );
  }
}

function readState(machine: TableStateMachine): CatalogState {
  const state = new CatalogState();
  for (const [key, value] of allRows(machine)) state.set(key, value);
  return state;
}

function catalogChanges(
  state: CatalogState,
  self: number,
  isHere: (table: TableInfo) => boolean,
): Buffer[] {
  const id = Buffer.from(randomUUID());
  const stored = state.clusterId === '' ? undefined : Buffer.from(state.clusterId);
  const commands = [replaceCommand(CLUSTER_ID_KEY, stored, id).command];
  for (const node of state.nodes.values()) {
    if (node.state === 'removed') continue;
    const next = node.id === self ? 'active' : 'removed';
    const row = encodeNode(changedNode(node, { state: next, replaces: 0 }));
    commands.push(replaceCommand(nodeKey(node.id), node.stored, row).command);
  }
  // What was to take a name over is filled once more.
  for (const { stored: row } of state.shadows.values()) commands.push(deleteCommand(row));
  for (const table of state.tables.values()) {
    const replicas = isHere(table) ? [BigInt(self)] : [];
    const row: flotillaV1.TableRow = {
      ...decodeRow(table.stored),
      replicas,
      movingFrom: [],
      preferredLeader: replicas[0] ?? 0n,
    };
    commands.push(replaceCommand(tableKey(table.name), table.stored, encodeRow(row)).command);
  }
  return commands;
}

function appliedIndex({ engine }: NodeStorage, id: number): number {
  return new TableStateMachine({ engine, tableId: id }).state.appliedIndex;
}

async function rewrite(
  storage: NodeStorage,
  self: number,
  commands: readonly Buffer[],
): Promise<void> {
  const { log } = storage;
  const batch = log.batch();
  const confState = {
    voters: [self],
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  for (const id of log.groups()) {
    const group = log.group(id);
    if (!holds(group)) continue;
    const term = Math.max(group.initialState().hardState.term, group.lastTerm()) + 1;
    const applied = appliedIndex(storage, id);
    if (applied > group.lastIndex()) {
      batch.installSnapshot(id, { index: applied, term: term - 1, confState });
    }
    const before = Math.max(group.lastIndex(), applied);
    const added = id === CATALOG_GROUP ? entriesOf(commands, before, term) : [];
    const last = before + added.length;
    if (added.length > 0) batch.appendEntries(id, added);
    batch.setHardState(id, { term, vote: 0, commit: last });
    batch.setConfState(id, last, confState);
  }
  await log.write(batch, { sync: true });
}

function entriesOf(commands: readonly Buffer[], after: number, term: number): Entry[] {
  return commands.map((data, at) => ({
    term,
    index: after + 1 + at,
    type: EntryType.Normal,
    data,
  }));
}
