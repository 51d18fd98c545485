/**
 * Replicas of tables that come and go with a catalog that may be old, on a disk that forgets.
 */
import { TableStateMachine, listTableIds } from '@flotilla/mvcc';
import { mvccV1 } from '@flotilla/proto';
import { EntryType, MessageType, type Message } from '@flotilla/raft';
import { beforeEach, describe, expect, it } from 'vitest';
import { openNode, SELF, type Disk, type NodeOnDisk } from '../../test/support/node-on-disk.js';
import { type TableInfo } from '../catalog/catalog-state.js';
import { TableRegistry } from './table-registry.js';

const ID = 10_001;
const FAR_MS = 60_000;
const SYNCED = (): number => 0;
const EVERYTHING = (below: number): number => below - 1;

let node: NodeOnDisk;
let registry: TableRegistry;
let failures: unknown[];

async function open(disk?: Disk): Promise<void> {
  node = await openNode(disk);
  failures = [];
  registry = new TableRegistry(node.runtime, node.engine, (error) => failures.push(error));
}

beforeEach(() => open());

/** The row of the table, as a catalog shows it. */
function row(replicas: readonly number[], more: Partial<TableInfo> = {}): TableInfo {
  return {
    id: ID,
    name: 'table',
    epoch: ID,
    replicas,
    founders: [SELF],
    movingFrom: [],
    preferredLeader: SELF,
    completeAt: 0,
    stored: Buffer.alloc(0),
    ...more,
  };
}

const HERE = row([SELF]);
const ELSEWHERE = row([2]);

async function fill(keys: readonly string[]): Promise<void> {
  const { group } = running();
  await group.leaderKnown(node.runtime.deadline(FAR_MS));
  for (const key of keys) {
    const kv = { key: Buffer.from(key), value: Buffer.from('v') };
    const command = mvccV1.Command.fromPartial({ table: Buffer.from('table'), kv });
    const deadlineMs = node.runtime.deadline(FAR_MS);
    await group.propose(mvccV1.Command.encode(command).finish(), deadlineMs);
  }
}

function running() {
  const table = registry.get(ID);
  if (!table) throw new Error('the table does not run here');
  return table;
}

/** How many keys the rows on disk hold. */
function keysOnDisk(): number {
  return new TableStateMachine({ engine: node.engine, tableId: ID }).stats().keys;
}

function catalogOf(...infos: readonly TableInfo[]): ReadonlyMap<number, TableInfo> {
  return new Map(infos.map((info) => [info.id, info]));
}

/** What the leader of a group sends to one that has nothing. */
function firstEntry(term: number): Message {
  return {
    type: MessageType.App,
    to: SELF,
    from: 2,
    term,
    logTerm: 0,
    index: 0,
    entries: [{ term: 1, index: 1, type: EntryType.Normal, data: Buffer.alloc(0) }],
    commit: 0,
    vote: 0,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: undefined,
    responses: [],
  };
}

async function until(isDone: () => boolean): Promise<void> {
  for (let count = 0; count < 1_000 && !isDone(); count++) await node.runtime.clock.turn();
  expect(isDone()).toBe(true);
}

/** Syncs of the engine wait until the returned function is called. */
function holdEngine(): () => void {
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  node.engine.syncGate = () => gate;
  return release;
}

async function untilMarked(): Promise<void> {
  await until(() => node.runtime.isTombstone(ID));
  // As far as it gets.
  for (let count = 0; count < 20; count++) await node.runtime.clock.turn();
}

describe('a replica that the catalog here does not place on this node', () => {
  beforeEach(async () => {
    registry.follow(undefined, HERE);
    await fill(['a', 'b']);
  });

  it('runs on until the catalog is known to be current, and goes then', async () => {
    registry.follow(HERE, ELSEWHERE);
    await registry.settled();
    await fill(['c']);
    expect(keysOnDisk()).toBe(3);
    registry.catalogIsCurrent(catalogOf(ELSEWHERE));
    expect(registry.get(ID)).toBeUndefined();
    expect(registry.size).toBe(0);
    await registry.settled();
    expect(listTableIds(node.engine)).toEqual([]);
    expect(node.runtime.isTombstone(ID)).toBe(true);
    expect(failures).toEqual([]);
  });

  it('keeps its log and its rows over a restart with an old catalog, and goes on from them', async () => {
    await node.engine.sync();
    await open(node.crash(SYNCED));
    registry.follow(undefined, ELSEWHERE);
    registry.removeLeftovers();
    await registry.settled();
    expect(node.runtime.hasLogOf(ID)).toBe(true);
    expect(node.runtime.isTombstone(ID)).toBe(false);
    expect(keysOnDisk()).toBe(2);
    // The rest of the catalog arrives: it belongs here.
    registry.follow(ELSEWHERE, HERE);
    registry.catalogIsCurrent(catalogOf(HERE));
    await running().group.readBarrier(node.runtime.deadline(FAR_MS));
    expect(running().machine.stats().keys).toBe(2);
    await fill(['c']);
  });

  it('that is not running goes as well, once the catalog is current', async () => {
    await open(node.crash(EVERYTHING));
    registry.follow(undefined, ELSEWHERE);
    registry.catalogIsCurrent(catalogOf(ELSEWHERE));
    await registry.settled();
    expect(node.runtime.isTombstone(ID)).toBe(true);
    expect(listTableIds(node.engine)).toEqual([]);
  });

  it('stays while the table still moves away from here', async () => {
    const moving = row([2], { movingFrom: [SELF] });
    registry.follow(HERE, moving);
    registry.catalogIsCurrent(catalogOf(moving));
    await registry.settled();
    expect(running().group.isLeader).toBe(true);
    registry.follow(moving, ELSEWHERE);
    await registry.settled();
    expect(registry.get(ID)).toBeUndefined();
    expect(node.runtime.isTombstone(ID)).toBe(true);
  });

  it('but as another table of its name is gone at once: a deleted table never comes back', async () => {
    registry.follow(HERE, row([SELF], { id: ID + 1 }));
    await registry.settled();
    expect(registry.get(ID)).toBeUndefined();
    expect(registry.get(ID + 1)).toBeDefined();
    expect(node.runtime.hasLogOf(ID)).toBe(false);
  });
});

describe('a replica that was given up', () => {
  /** Power goes once the log is given up; what the engine kept of the removal is `pick`'s. */
  async function giveUpAndCrash(pick: (below: number) => number): Promise<void> {
    registry.follow(undefined, HERE);
    await fill(['a', 'b']);
    await node.engine.sync();
    const release = holdEngine();
    registry.catalogIsCurrent(catalogOf(ELSEWHERE));
    await untilMarked();
    const disk = node.crash(pick);
    release();
    await open(disk);
    expect(node.runtime.isTombstone(ID)).toBe(true);
  }

  it('leaves rows without a log in a crash: they are removed at the next start', async () => {
    await giveUpAndCrash(SYNCED);
    expect(keysOnDisk()).toBe(2);
    registry.removeLeftovers();
    expect(listTableIds(node.engine)).toEqual([]);
  });

  it('begins with none of them if it comes back first, and does not found its group again', async () => {
    await giveUpAndCrash(SYNCED);
    registry.follow(undefined, HERE);
    await registry.settled();
    const { group, machine } = running();
    expect(machine.stats()).toMatchObject({ keys: 0, appliedIndex: 0 });
    for (let count = 0; count < 100; count++) node.runtime.host.tick();
    await node.runtime.clock.turn();
    expect(group.isLeader).toBe(false);
    expect(group.confState().voters).toEqual([]);
    registry.removeLeftovers();
    expect(machine.isOpen).toBe(true);
    expect(node.fatal).toEqual([]);
  });

  it('remembers its term and its vote', async () => {
    registry.follow(undefined, HERE);
    await fill(['a']);
    const { term } = running().group.status();
    registry.catalogIsCurrent(catalogOf(ELSEWHERE));
    await registry.settled();
    await open(node.crash(EVERYTHING));
    const { hardState } = node.storage.log.group(ID).initialState();
    expect(hardState).toMatchObject({ term, vote: SELF, commit: 0 });
  });

  it.each(['at once', 'after a restart', 'after leftovers were removed'])(
    'and comes back %s is never found with rows that its new log does not reach',
    async (when) => {
      if (when === 'at once') {
        registry.follow(undefined, HERE);
        await fill(['a', 'b']);
        await node.engine.sync();
        registry.catalogIsCurrent(catalogOf(ELSEWHERE));
        await registry.settled();
      } else await giveUpAndCrash(SYNCED);
      if (when === 'after leftovers were removed') registry.removeLeftovers();
      registry.follow(undefined, HERE);
      await registry.settled();
      const { group } = running();
      const { term } = group.status();
      node.runtime.host.receive(ID, firstEntry(term + 1));
      await group.leaderKnown(node.runtime.deadline(FAR_MS));
      await until(() => !node.runtime.isTombstone(ID));
      expect(group.status().lastIndex).toBe(1);
      await open(node.crash(SYNCED));
      registry.follow(undefined, HERE);
      await registry.settled();
      expect(running().machine.state.appliedIndex).toBeLessThanOrEqual(1);
    },
  );

  it('that is wanted again while its rows go begins once they are gone', async () => {
    registry.follow(undefined, HERE);
    await fill(['a', 'b']);
    const before = running().machine;
    registry.catalogIsCurrent(catalogOf(ELSEWHERE));
    registry.follow(ELSEWHERE, HERE);
    expect(registry.get(ID)).toBeUndefined();
    await registry.settled();
    expect(before.isOpen).toBe(false);
    expect(running().machine.stats().keys).toBe(0);
    expect(running().group.confState().voters).toEqual([]);
  });
});

describe('a deleted table', () => {
  beforeEach(async () => {
    registry.follow(undefined, HERE);
    await fill(['a', 'b']);
    await node.engine.sync();
  });

  it('keeps its mark until the engine is on disk; an old catalog does not found it once more', async () => {
    const release = holdEngine();
    registry.deleted(ID);
    await untilMarked();
    const disk = node.crash(SYNCED);
    release();
    await open(disk);
    // The rows and the catalog of before the deletion: the mark says what they are.
    expect(keysOnDisk()).toBe(2);
    registry.follow(undefined, HERE);
    await registry.settled();
    const { group, machine } = running();
    for (let count = 0; count < 100; count++) node.runtime.host.tick();
    await node.runtime.clock.turn();
    expect(group.isLeader).toBe(false);
    expect(group.confState().voters).toEqual([]);
    expect(machine.stats().keys).toBe(0);
    // Then the catalog catches up.
    registry.deleted(ID);
    await registry.settled();
    expect(node.runtime.hasLogOf(ID)).toBe(false);
    expect(listTableIds(node.engine)).toEqual([]);
    expect(failures).toEqual([]);
  });

  it('leaves neither rows nor a mark in the end', async () => {
    registry.deleted(ID);
    await registry.settled();
    expect(node.runtime.hasLogOf(ID)).toBe(false);
    await open(node.crash(SYNCED));
    expect(node.runtime.hasLogOf(ID)).toBe(false);
    expect(listTableIds(node.engine)).toEqual([]);
  });

  it('whose rows cannot be removed keeps its log marked, and says so', async () => {
    node.engine.deleteRange = () => {
      throw new Error('EIO: planned');
    };
    registry.deleted(ID);
    await registry.settled();
    expect(failures).toHaveLength(1);
    expect(node.runtime.isTombstone(ID)).toBe(true);
  });

  it('whose log cannot be given up keeps its rows: without them the log would be refused', async () => {
    node.runtime.host.forgetGroup = () => Promise.reject(new Error('planned'));
    registry.deleted(ID);
    await registry.settled();
    expect(failures).toHaveLength(1);
    expect(keysOnDisk()).toBe(2);
    await open(node.crash(EVERYTHING));
    registry.follow(undefined, HERE);
    await running().group.readBarrier(node.runtime.deadline(FAR_MS));
    expect(running().machine.stats().keys).toBe(2);
  });
});
