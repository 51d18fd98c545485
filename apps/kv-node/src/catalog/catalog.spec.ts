/**
 * What a node has in memory of the catalog, by the log and by a snapshot.
 */
import { openStage } from '@flotilla/mvcc';
import { flotillaV1 } from '@flotilla/proto';
import { MessageType, type Message } from '@flotilla/raft';
import { describe, expect, it } from 'vitest';
import { openNode, SELF, type NodeOnDisk } from '../../test/support/node-on-disk.js';
import { encodeNote } from '../snapshots/snapshot-note.js';
import {
  CATALOG_GROUP,
  completeCommand,
  createCommand,
  deleteCommand,
  encodeNode,
  finishDeletionCommand,
  newRow,
  nextTableId,
  nodeKey,
} from './catalog-rows.js';
import { Catalog } from './catalog.service.js';
import { type CatalogChange } from './catalog-state.js';

const FAR_MS = 60_000;
const TURNS_MAX = 1_000;

async function create(catalog: Catalog, name: string): Promise<void> {
  const { sequence } = catalog.state;
  const { command } = createCommand(newRow(name, nextTableId(sequence), [SELF], SELF), sequence);
  await catalog.propose(command, catalog.deadline(FAR_MS));
}

async function setNode(catalog: Catalog, id: number, name: string): Promise<void> {
  const row = flotillaV1.NodeRow.fromPartial({ id: BigInt(id), name });
  const stored = catalog.state.nodes.get(id)?.stored;
  await catalog.replace(nodeKey(id), stored, encodeNode(row), catalog.deadline(FAR_MS));
}

/** The changes of tables and nodes that a listener was told of, by name, and `+` or `-`. */
function toldBy(catalog: Catalog): string[] {
  const told: string[] = [];
  catalog.onChange((changes) => {
    for (const change of changes) {
      if (change.kind === 'table') {
        told.push(`${change.now ? '+' : '-'}${(change.now ?? change.before)?.name ?? ''}`);
      }
      if (change.kind === 'node') told.push(`node ${change.id}`);
    }
  });
  return told;
}

/** A leader that speaks to a replica which has nothing yet. */
function heartbeat(term: number): Message {
  return {
    type: MessageType.Heartbeat,
    to: SELF,
    from: 2,
    term,
    logTerm: 0,
    index: 0,
    entries: [],
    commit: 0,
    vote: 0,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: undefined,
    responses: [],
  };
}

/** Gives the state of one catalog to another, as a snapshot. */
async function giveTo(to: NodeOnDisk, target: Catalog, source: Catalog): Promise<void> {
  const metadata = source.group.snapshotMetadata();
  to.runtime.host.receive(CATALOG_GROUP, heartbeat(metadata.term));
  const stage = openStage({ engine: to.engine, tableId: CATALOG_GROUP });
  const view = source.machine.openSnapshot();
  for (let chunk = view.next(); chunk; chunk = view.next()) stage.write(chunk.data);
  view.close();
  stage.finish(encodeNote(metadata));
  expect(to.runtime.host.installSnapshot(CATALOG_GROUP, metadata)).toBe(true);
  for (let turn = 0; turn < TURNS_MAX && target.appliedIndex < metadata.index; turn++) {
    await to.runtime.clock.turn();
  }
  expect(target.appliedIndex).toBe(metadata.index);
}

// There are no users and roles yet: tables, nodes and ids are what is derived from rows in memory.
describe('auth and snapshot inconsistency (etcd #14571)', () => {
  it('a snapshot changes all that is in memory of the catalog as the log would have, and says so', async () => {
    const from = await openNode();
    const source = new Catalog(from.runtime, from.engine, [SELF]);
    await source.group.leaderKnown(source.deadline(FAR_MS));
    await create(source, 'stays');
    await create(source, 'goes');
    await setNode(source, SELF, 'one');

    const to = await openNode();
    const target = new Catalog(to.runtime, to.engine, []);
    const told = toldBy(target);
    await giveTo(to, target, source);
    expect(target.state).toEqual(source.state);
    expect(told.sort()).toEqual(['+goes', '+stays', 'node 1']);

    const gone = source.state.tables.get('goes');
    if (!gone) throw new Error('there is no such table');
    await source.propose(deleteCommand(gone.stored), source.deadline(FAR_MS));
    await source.propose(finishDeletionCommand(BigInt(gone.id)), source.deadline(FAR_MS));
    await create(source, 'comes');
    await setNode(source, 2, 'two');
    told.length = 0;
    await giveTo(to, target, source);
    expect(target.state).toEqual(source.state);
    expect([...target.state.tables.keys()].sort()).toEqual(['comes', 'stays']);
    expect(new Set(told)).toEqual(new Set(['-goes', '+comes', '+stays', 'node 1', 'node 2']));

    // And so does the next process, from what lies on disk.
    const again = await openNode(to.crash((below) => below - 1));
    expect(new Catalog(again.runtime, again.engine, []).state).toEqual(source.state);
    expect([...from.fatal, ...to.fatal]).toEqual([]);
  });
});

async function beginShadow(catalog: Catalog, name: string): Promise<number> {
  const { sequence } = catalog.state;
  const shadow = { purpose: 'test', token: 1n, begunAtMs: 1n, filledAtMs: 0n };
  const row = { ...newRow(name, nextTableId(sequence), [SELF], SELF), shadow };
  await catalog.propose(createCommand(row, sequence).command, catalog.deadline(FAR_MS));
  return Number(row.id);
}

function completionOf({ state }: Catalog, name: string): Buffer {
  const [shadow, replaced] = [state.shadows.get(name)?.stored, state.tables.get(name)?.stored];
  const { sequence } = state;
  if (!shadow || !sequence) throw new Error('there is no shadow');
  return completeCommand({ shadow, replaced, sequence, completeAt: 7 }).command;
}

describe('a table that is filled out of sight', () => {
  async function opened(): Promise<Catalog> {
    const { runtime, engine } = await openNode();
    const catalog = new Catalog(runtime, engine, [SELF]);
    await catalog.group.leaderKnown(catalog.deadline(FAR_MS));
    return catalog;
  }

  it('is known by its id alone, and under its name by one change that deletes what was there', async () => {
    const catalog = await opened();
    await create(catalog, 't');
    const old = catalog.state.tables.get('t');
    const id = await beginShadow(catalog, 't');
    expect(catalog.state.tables.get('t')).toBe(old);
    expect(catalog.state.tablesById.get(id)?.shadow).toMatchObject({ token: 1, purpose: 'test' });

    const changes: unknown[] = [];
    catalog.onChange((told) => changes.push(told));
    const command = completionOf(catalog, 't');
    expect((await catalog.propose(command, catalog.deadline(FAR_MS))).succeeded).toBe(true);
    const now = catalog.state.tables.get('t');
    expect(now).toMatchObject({ id, epoch: (old?.epoch ?? 0) + 1, completeAt: 7 });
    expect(now?.shadow).toBeUndefined();
    expect([...catalog.state.tablesById]).toEqual([[id, now]]);
    expect([...catalog.state.deleting]).toEqual([old?.id]);
    expect(changes).toMatchObject([
      [
        { kind: 'table', before: { id, shadow: {} }, now: undefined, goesOn: true },
        { kind: 'table', before: { id: old?.id }, now: { id } },
        { kind: 'deleting', id: old?.id, isListed: true },
      ],
    ]);
    // Made from what is not so any more, it changes nothing.
    expect((await catalog.propose(command, catalog.deadline(FAR_MS))).succeeded).toBe(false);
  });

  it('does not take over a name that has got a table, or lost it, since it was looked at', async () => {
    const catalog = await opened();
    await beginShadow(catalog, 't');
    const withNone = completionOf(catalog, 't');
    await create(catalog, 't');
    const propose = (command: Buffer) => catalog.propose(command, catalog.deadline(FAR_MS));
    expect((await propose(withNone)).succeeded).toBe(false);
    const withOne = completionOf(catalog, 't');
    const { stored } = catalog.state.tables.get('t') ?? { stored: Buffer.alloc(0) };
    await propose(deleteCommand(stored));
    expect((await propose(withOne)).succeeded).toBe(false);
    expect(catalog.state.tables.size).toBe(0);
    expect((await propose(completionOf(catalog, 't'))).succeeded).toBe(true);
    // The epoch is above all that the name ever had, and no table gets it a second time.
    const { epoch } = catalog.state.tables.get('t') ?? { epoch: 0 };
    expect(epoch).toBeGreaterThan(10_002);
    expect(Number(nextTableId(catalog.state.sequence))).toBeGreaterThan(epoch);
  });

  it('that took its name over while a node was away goes on there: it is not taken for deleted', async () => {
    const source = await opened();
    await create(source, 't');
    const id = await beginShadow(source, 't');
    const to = await openNode();
    const target = new Catalog(to.runtime, to.engine, []);
    await giveTo(to, target, source);
    const told: CatalogChange[] = [];
    target.onChange((changes) => told.push(...changes));
    await source.propose(completionOf(source, 't'), source.deadline(FAR_MS));
    await giveTo(to, target, source);
    expect(target.state).toEqual(source.state);
    const ends = told.filter((change) => change.kind === 'table' && !change.now);
    expect(ends).toMatchObject([{ before: { id }, goesOn: true }]);
  });
});
