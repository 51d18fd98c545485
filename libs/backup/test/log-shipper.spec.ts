/** Shipping logs: whatever fails, nothing is dropped, nothing is in between, and no more is held than may be. */
import { FaultyStore } from '@flotilla/object-store/testing';
import { describe, expect, it } from 'vitest';
import { gapsOf, LogCatalog, runsOf, SYSTEM_BACKUP_CLOCK } from '../src/index.js';
import { FakeCluster, type FakeTable } from '../src/testing/index.js';
import { Bench, KEYS, NEVER } from './support/backups.js';
import { allStored, restoreTo, startShipping, until } from './support/logs.js';

const STOP_MS = 30_000;

function filled(...names: string[]) {
  const cluster = new FakeCluster();
  for (const name of names) write(cluster.create(name), 10);
  return { cluster, bench: new Bench(cluster) };
}

function write(table: FakeTable, count: number): void {
  for (let at = 0; at < count; at++) {
    table.put(Buffer.from(`key ${at % 7}`), Buffer.from(`${table.revision}`));
  }
}

function tableOf(cluster: FakeCluster, name: string): FakeTable {
  const table = cluster.tables.get(name);
  if (!table) throw new Error(`there is no table ${name}`);
  return table;
}

async function runs(bench: Bench, { tableId, epoch }: FakeTable) {
  const pieces = await new LogCatalog(bench.objects, KEYS).pieces(tableId, epoch, NEVER);
  return runsOf(pieces).map(({ first, last }) => [first, last]);
}

describe('shipping', () => {
  it('stores every entry of every table, new tables too, and nothing while nothing is written', async () => {
    const { cluster, bench } = filled('a', 'b');
    const shipping = startShipping(bench);
    await allStored(bench, shipping);
    write(cluster.create('c'), 5);
    cluster.create('empty');
    write(tableOf(cluster, 'a'), 20);
    await allStored(bench, shipping);
    const before = await bench.objectNames('logs/');
    await SYSTEM_BACKUP_CLOCK.sleep(50);
    expect(await bench.objectNames('logs/')).toEqual(before);
    await shipping.shipper.stop(STOP_MS);
    expect(await runs(bench, tableOf(cluster, 'a'))).toEqual([[1, 30]]);
    expect(await runs(bench, tableOf(cluster, 'c'))).toEqual([[1, 5]]);
    expect(before.some((name) => name.includes(`${tableOf(cluster, 'empty').tableId}`))).toBe(
      false,
    );
    expect(shipping.events.every(({ kind }) => kind === 'stored')).toBe(true);
    expect(shipping.shipper.heldBytes).toBe(0);
  });

  it('goes on behind what is stored, whoever stored it, and a stop stores what was read', async () => {
    const { cluster, bench } = filled('a');
    const table = tableOf(cluster, 'a');
    for (let round = 0; round < 4; round++) {
      // Longer than the test: only the stop can have stored it.
      const shipping = startShipping(bench, { intervalMs: 600_000 });
      await until('all is read', () => shipping.shipper.heldBytes > 0);
      await SYSTEM_BACKUP_CLOCK.sleep(30);
      await shipping.shipper.stop(STOP_MS);
      expect(await runs(bench, table)).toEqual([[1, 10 * (round + 1)]]);
      write(table, 10);
    }
    expect((await bench.objectNames('logs/')).filter((name) => name.endsWith('.log'))).toHaveLength(
      4,
    );
  });

  it('by two at once gives a log without gaps that restores to every revision', async () => {
    const { cluster, bench } = filled('a');
    const table = tableOf(cluster, 'a');
    const both = [startShipping(bench, { keyId: 'k2' }), startShipping(bench, { keyId: 'k1' })];
    for (let round = 0; round < 20; round++) {
      write(table, 3);
      await SYSTEM_BACKUP_CLOCK.sleep(3);
    }
    for (const shipping of both) await allStored(bench, shipping);
    for (const { shipper } of both) await shipper.stop(STOP_MS);
    expect(await runs(bench, table)).toEqual([[1, 70]]);
    for (const revision of [1, 11, 35, 70]) {
      await restoreTo(bench, 'a', 'copy', { kind: 'revision', revision });
      const rows = [...tableOf(cluster, 'copy').at(revision).values()];
      expect(rows.sort((a, b) => Buffer.compare(a.key, b.key))).toEqual(
        [...table.at(revision).values()].sort((a, b) => Buffer.compare(a.key, b.key)),
      );
      cluster.delete('copy');
    }
  });

  it.each([1, 2, 3])('to a store that fails drops nothing (seed %i)', async (seed) => {
    const { cluster, bench } = filled('a', 'b');
    const chances = { refused: 0.3, answerLost: 0.2, writeCut: 0.2, readCut: 0.2 };
    const store = new FaultyStore(bench.store, { seed, ...chances });
    const shipping = startShipping(bench, { store });
    let parts = 0;
    cluster.onPart = () => {
      if (++parts % 5 === 0) throw new Error('the node is gone');
    };
    for (let round = 0; round < 10; round++) {
      write(tableOf(cluster, 'a'), 4);
      await SYSTEM_BACKUP_CLOCK.sleep(10);
    }
    await allStored(bench, shipping);
    await shipping.shipper.stop(STOP_MS);
    expect(store.faults).toBeGreaterThan(3);
    expect(await runs(bench, tableOf(cluster, 'a'))).toEqual([[1, 50]]);
    expect(await runs(bench, tableOf(cluster, 'b'))).toEqual([[1, 10]]);
  });

  it('holds no more than it may while the store takes nothing, and then goes on', async () => {
    const names = Array.from({ length: 12 }, (_, at) => `t${at}`);
    const { cluster, bench } = filled(...names);
    for (const name of names) write(tableOf(cluster, name), 200);
    let isOpen = false;
    const { store } = bench;
    const put = store.put.bind(store);
    store.put = async (...args) => {
      while (!isOpen) await SYSTEM_BACKUP_CLOCK.sleep(2);
      return put(...args);
    };
    const heldBytesMax = 5_000;
    const shipping = startShipping(bench, { heldBytesMax });
    await until('it holds what it may', () => shipping.shipper.heldBytes >= heldBytesMax);
    await SYSTEM_BACKUP_CLOCK.sleep(100);
    // Beside the bound, one part of each table.
    const partBytesMax = cluster.entriesPerPart * 250;
    expect(shipping.shipper.heldBytes).toBeLessThan(heldBytesMax + names.length * partBytesMax);
    isOpen = true;
    await allStored(bench, shipping);
    await shipping.shipper.stop(STOP_MS);
    for (const name of names) expect(await runs(bench, tableOf(cluster, name))).toEqual([[1, 210]]);
  });

  it('of more tables than streams takes turns, and comes to all of them again', async () => {
    const names = Array.from({ length: 9 }, (_, at) => `t${at}`);
    const { cluster, bench } = filled(...names);
    const shipping = startShipping(bench, { streamsMax: 2 });
    for (let round = 0; round < 3; round++) {
      await allStored(bench, shipping);
      for (const name of names) write(tableOf(cluster, name), 3);
    }
    await allStored(bench, shipping);
    await shipping.shipper.stop(STOP_MS);
    expect(cluster.followedMax).toBe(2);
    for (const name of names) expect(await runs(bench, tableOf(cluster, name))).toEqual([[1, 19]]);
  });
});

describe('a log that changes under the shipper', () => {
  it('and was cut in front of it leaves a gap that is told, and is shipped from there on', async () => {
    const { cluster, bench } = filled('a');
    const table = tableOf(cluster, 'a');
    const first = startShipping(bench);
    await allStored(bench, first);
    await first.shipper.stop(STOP_MS);
    write(table, 10);
    table.logFrom = 16;
    const second = startShipping(bench);
    await allStored(bench, second);
    await second.shipper.stop(STOP_MS);
    expect(second.events).toContainEqual({ kind: 'gap', first: 11, last: 15 });
    expect(second.events.map(({ kind }) => kind)).not.toContain('failed');
    expect(await runs(bench, table)).toEqual([
      [1, 10],
      [16, 20],
    ]);
    const pieces = await new LogCatalog(bench.objects, KEYS).pieces(table.tableId, table.epoch);
    expect(gapsOf(runsOf(pieces))).toEqual([{ first: 11, last: 15 }]);
  });

  it('and never was there from the beginning needs a backup, which is told', async () => {
    const { cluster, bench } = filled('a');
    tableOf(cluster, 'a').logFrom = 4;
    const shipping = startShipping(bench);
    await allStored(bench, shipping);
    await shipping.shipper.stop(STOP_MS);
    expect(shipping.events).toContainEqual({ kind: 'begins', first: 4 });
    expect(await runs(bench, tableOf(cluster, 'a'))).toEqual([[4, 10]]);
  });

  it('and is that of a table that was restored begins behind it, which is no failure', async () => {
    const { cluster, bench } = filled('a');
    const shipping = startShipping(bench);
    await allStored(bench, shipping);
    await restoreTo(bench, 'a', 'copy', { kind: 'revision', revision: 5 });
    const copy = tableOf(cluster, 'copy');
    const from = copy.logFrom;
    write(copy, 3);
    await allStored(bench, shipping);
    await shipping.shipper.stop(STOP_MS);
    expect(await runs(bench, copy)).toEqual([[from, from + 2]]);
    const others = shipping.events.filter(({ kind }) => kind !== 'stored');
    expect(others).toEqual([{ kind: 'begins', first: from }]);
  });

  it('and belongs to a table that is deleted is stored as far as it was read', async () => {
    const { cluster, bench } = filled('a', 'b');
    const table = tableOf(cluster, 'a');
    const shipping = startShipping(bench, { intervalMs: 600_000 });
    await until('all is read', () => shipping.shipper.heldBytes > 0);
    await SYSTEM_BACKUP_CLOCK.sleep(30);
    cluster.delete('a');
    await until('it is given up', () => shipping.shipper.tables().length === 1);
    expect(await runs(bench, table)).toEqual([[1, 10]]);
    const again = cluster.create('a');
    write(again, 3);
    await until('the new one is followed', () => shipping.shipper.tables().length === 2);
    await SYSTEM_BACKUP_CLOCK.sleep(30);
    await shipping.shipper.stop(STOP_MS);
    expect(await runs(bench, again)).toEqual([[1, 3]]);
  });

  it('and is of another cluster with the same ids is not mixed with what is stored', async () => {
    const { cluster, bench } = filled('a');
    const table = tableOf(cluster, 'a');
    const first = startShipping(bench);
    await allStored(bench, first);
    await first.shipper.stop(STOP_MS);
    write(table, 5);
    const tables = await cluster.cluster();
    cluster.cluster = async () => ({ ...tables, clusterId: 'another' });
    const second = startShipping(bench);
    await until('it is refused', () => second.events.length > 0);
    await second.shipper.stop(STOP_MS);
    const [event] = second.events;
    expect(event).toMatchObject({ kind: 'failed', error: { code: 'INVALID' } });
    expect(await runs(bench, table)).toEqual([[1, 10]]);
  });

  it('and was set back is not mixed with what is stored of before', async () => {
    const { cluster, bench } = filled('a');
    const table = tableOf(cluster, 'a');
    const first = startShipping(bench, { keyId: 'k1' });
    await allStored(bench, first);
    await first.shipper.stop(STOP_MS);
    write(table, 5);
    table.history = 2;
    const second = startShipping(bench);
    await until('it is refused', () => second.events.length > 0);
    await second.shipper.stop(STOP_MS);
    const message = 'revision 10 is another one than was shipped: its history was set back';
    expect(second.events[0]).toMatchObject({ kind: 'failed', error: { message } });
    expect(await runs(bench, table)).toEqual([[1, 10]]);
    table.history = 1;
    const third = startShipping(bench);
    await allStored(bench, third);
    await third.shipper.stop(STOP_MS);
    expect(await runs(bench, table)).toEqual([[1, 15]]);
  });
});
