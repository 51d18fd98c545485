/**
 * The log is cut while the power may go: what was cut must be in the engine, on disk.
 */
import { TableStateMachine } from '@flotilla/mvcc';
import { mvccV1 } from '@flotilla/proto';
import { type Group } from '@flotilla/raft';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  openNode,
  SELF,
  SILENT,
  type Disk,
  type NodeOnDisk,
} from '../../test/support/node-on-disk.js';
import { CATALOG_GROUP } from '../catalog/catalog-rows.js';
import { LogKeeper } from './log-keeper.js';
import { TableMachine } from './table-machine.js';

const ID = 10_001;
const WRITES = 60;
const FAR_MS = 60_000;
const NO_RETENTION = '--replication.log-retention-bytes=0';
const FLAGS = ['--raft.snapshot-entries=10', '--raft.compaction-overhead=2', NO_RETENTION];

interface Life {
  readonly node: NodeOnDisk;
  readonly table: TableStateMachine;
  readonly group: Group<unknown>;
  readonly failures: unknown[];
}

async function open(disk?: Disk, flags: readonly string[] = FLAGS, id = ID): Promise<Life> {
  const node = await openNode(disk, flags);
  const table = new TableStateMachine({ engine: node.engine, tableId: id });
  const group = node.runtime.host.startGroup(id, new TableMachine(table), [SELF]);
  const { config, storage, runtime } = node;
  const failures: unknown[] = [];
  const keeper = new LogKeeper(
    config,
    storage,
    runtime,
    () => [group],
    () => true,
    SILENT,
    (error) => failures.push(error),
  );
  keeper.start();
  return { node, table, group, failures };
}

async function write({ node, group }: Life, from: number, to: number): Promise<void> {
  await group.leaderKnown(node.runtime.deadline(FAR_MS));
  for (let at = from; at <= to; at++) {
    const kv = { key: Buffer.from(`k${at}`), value: Buffer.from('v') };
    const command = mvccV1.Command.fromPartial({ table: Buffer.from('table'), kv });
    const deadlineMs = node.runtime.deadline(FAR_MS);
    await group.propose(mvccV1.Command.encode(command).finish(), deadlineMs);
  }
}

async function turns({ node }: Life, count: number): Promise<void> {
  for (let at = 0; at < count; at++) await node.runtime.clock.turn();
}

describe('compaction and a crash (etcd #14685, #17780): the log', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
  afterEach(() => void vi.useRealTimers());

  it('is cut only behind what the engine has on disk, whenever the power goes', async () => {
    for (let at = 0; at < 40; at += 3) {
      const life = await open();
      await write(life, 1, WRITES);
      // One look, which takes its time to sync the engine.
      let release: () => void = () => undefined;
      life.node.engine.syncGate = () => new Promise((resolve) => (release = resolve));
      await vi.advanceTimersByTimeAsync(5_000);
      await write(life, WRITES + 1, WRITES + 5);
      await turns(life, 5);
      expect(life.group.log.firstIndex()).toBe(1);
      if (at > 0) release();
      await turns(life, at);
      const { revision } = life.table.state;
      const disk = life.node.crash(() => 0);
      release();
      const again = await open(disk);
      await again.group.readBarrier(again.node.runtime.deadline(FAR_MS));
      expect(again.table.stats().keys, `after ${at} turns`).toBe(WRITES + 5);
      // An empty entry of the new leader moves the index, and the revision never goes back.
      expect(again.table.state.revision, `after ${at} turns`).toBe(revision);
      if (at > 30) expect(again.group.log.firstIndex()).toBeGreaterThan(1);
      again.node.crash(() => 0);
    }
  });

  it('is not cut when the engine cannot be synced, and the node is told', async () => {
    const life = await open();
    await write(life, 1, WRITES);
    life.node.engine.syncGate = () => Promise.reject(new Error('EIO: planned'));
    await vi.advanceTimersByTimeAsync(5_000);
    await turns(life, 10);
    expect(life.failures).toHaveLength(1);
    expect(life.group.log.firstIndex()).toBe(1);
    const again = await open(life.node.crash(() => 0));
    await again.group.readBarrier(again.node.runtime.deadline(FAR_MS));
    expect(again.table.stats().keys).toBe(WRITES);
    again.node.crash(() => 0);
  });
});

describe('what follower clusters may still ask for', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
  afterEach(() => void vi.useRealTimers());

  async function firstIndexAfter(id: number, flags: readonly string[]): Promise<number> {
    const life = await open(undefined, [...FLAGS, ...flags], id);
    await write(life, 1, WRITES);
    for (let look = 0; look < 3; look++) {
      await vi.advanceTimersByTimeAsync(5_000);
      await turns(life, 20);
    }
    const firstIndex = life.group.log.firstIndex();
    life.node.crash(() => 0);
    return firstIndex;
  }

  it('stays in the log of a table, and nothing of it in that of the catalog', async () => {
    const wanted = ['--replication.log-retention-bytes=1000000'];
    expect(await firstIndexAfter(ID, wanted)).toBe(1);
    expect(await firstIndexAfter(CATALOG_GROUP, wanted)).toBeGreaterThan(WRITES / 2);
    expect(await firstIndexAfter(ID, [...wanted, '--replication.enabled=false'])).toBeGreaterThan(
      WRITES / 2,
    );
  });

  it('goes when the log as a whole is too large, whatever may still be asked for', async () => {
    const wanted = ['--replication.log-retention-bytes=1000000'];
    expect(await firstIndexAfter(ID, [...wanted, '--raft.log-bytes-max=1'])).toBeGreaterThan(
      WRITES,
    );
  });
});
