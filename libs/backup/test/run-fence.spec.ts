/**
 * Runners that were overtaken: whoever has an older token than one that the store has seen commits
 * nothing and deletes nothing.
 */
import { ObjectStoreError } from '@flotilla/object-store';
import { describe, expect, it } from 'vitest';
import { BackupError, prune, raiseFence, type RunFence } from '../src/index.js';
import { FakeCluster } from '../src/testing/index.js';
import { Bench, DyingStore, KEYS, NEVER } from './support/backups.js';

const RULES = { keepLast: 1, keepHourly: 0, keepDaily: 0, keepWeekly: 0, unfinishedMs: 86_400_000 };

function filled() {
  const cluster = new FakeCluster();
  const table = cluster.create('t');
  for (let at = 0; at < 50; at++) table.put(Buffer.from(`key ${at}`), Buffer.alloc(100, at));
  const bench = new Bench(cluster);
  const raise = (token: number, holder = `app ${token}`) =>
    raiseFence(bench.objects, { clusterId: cluster.clusterId, token, holder }, NEVER);
  return { cluster, bench, raise };
}

function pruned(bench: Bench, fence: RunFence) {
  const { objects, clock } = bench;
  return prune({ objects, keys: KEYS, clock, signal: NEVER, fence }, RULES, false);
}

describe('the token of a runner', () => {
  it('stands in what it makes, and in nothing that was asked for by hand', async () => {
    const { bench, raise } = filled();
    expect(await bench.create({}, bench.store, { fence: await raise(7) })).toMatchObject({
      runToken: 7,
    });
    const byHand = await bench.create();
    expect(byHand.runToken).toBeUndefined();
    const { good } = await bench.catalog.list();
    expect(good.map(({ runToken }) => runToken)).toEqual([7, undefined]);
  });

  it('that is older than one that was seen writes no manifest, wherever it has got to', async () => {
    const { cluster, bench, raise } = filled();
    const fence = await raise(7);
    cluster.onChunk = () => {
      cluster.onChunk = () => undefined;
      return raise(8).then(() => undefined);
    };
    const run = bench.create({}, bench.store, { fence });
    await expect(run).rejects.toMatchObject({ code: 'RUN_FENCED' });
    expect((await bench.catalog.list()).good).toEqual([]);
    await expect(bench.create({}, bench.store, { fence })).rejects.toMatchObject({
      code: 'RUN_FENCED',
    });
  });

  it('that is older deletes nothing', async () => {
    const { bench, raise } = filled();
    await bench.create();
    await bench.create();
    const fence = await raise(7);
    await raise(8);
    await expect(pruned(bench, fence)).rejects.toMatchObject({ code: 'RUN_FENCED' });
    expect((await bench.catalog.list()).good).toHaveLength(2);
  });

  it('can be neither lower than one that was seen nor the same as that of another', async () => {
    const { bench, raise } = filled();
    await raise(9);
    await raise(10);
    for (const late of [() => raise(9), () => raise(1), () => raise(10, 'another')]) {
      await expect(late()).rejects.toMatchObject({ code: 'RUN_FENCED' });
    }
    await raise(10);
    expect(await bench.objectNames('runners/')).toHaveLength(1);
  });

  it('is counted cluster by cluster: two of them may share a store', async () => {
    const { bench, raise } = filled();
    const fence = await raise(1);
    const other = { clusterId: 'another cluster', token: 99, holder: 'x' };
    await raiseFence(bench.objects, other, NEVER);
    await expect(fence.check(NEVER)).resolves.toBeUndefined();
  });

  it('that is newer goes on at once with a run that still seemed to live', async () => {
    const { bench, raise } = filled();
    const dying = { fence: await raise(7), runner: 'the dead one' };
    const killed = bench.create({}, new DyingStore(bench.store, 3), dying);
    await expect(killed).rejects.toThrow('killed');
    const [left] = (await bench.catalog.list()).unfinished;
    bench.clock.nowMs = left?.aliveAtMs ?? 0;
    await expect(bench.create({})).rejects.toMatchObject({ code: 'RUN_BUSY' });
    const made = await bench.create({}, bench.store, { fence: await raise(8) });
    expect(made).toMatchObject({ id: left?.id, runToken: 8 });
  });
});

describe('two runs that write to one folder', () => {
  it('do not both end it: the second one is told', async () => {
    const { cluster, bench } = filled();
    const dying = { runner: 'test' };
    await expect(bench.create({}, new DyingStore(bench.store, 3), dying)).rejects.toThrow();
    let second: Promise<unknown> | undefined;
    cluster.onChunk = () => {
      cluster.onChunk = () => undefined;
      second = bench.create();
      return second.then(() => undefined);
    };
    const first = bench.create();
    await expect(first).rejects.toMatchObject({ code: 'RUN_BUSY' });
    await expect(second).resolves.toMatchObject({ kind: 'full' });
    expect((await first.catch((error: unknown) => error)) instanceof BackupError).toBe(true);
    expect((await bench.catalog.list()).good).toHaveLength(1);
  });

  it('where the answer to a write was lost, it is not taken for that of another one', async () => {
    const { bench } = filled();
    const { store } = bench;
    const putIfAbsent = store.putIfAbsent.bind(store);
    let tries = 0;
    store.putIfAbsent = async (...args) => {
      const info = await putIfAbsent(...args);
      if (tries++ === 0) {
        throw new ObjectStoreError('STORE_UNAVAILABLE', 'the answer was lost');
      }
      return info;
    };
    await expect(bench.create()).resolves.toMatchObject({ kind: 'full' });
    expect(tries).toBe(1);
  });
});
