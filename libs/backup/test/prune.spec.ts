/** Pruning: what died is cleaned up, what is kept is whole, whenever it is cut off. */
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openObjectStore } from '@flotilla/object-store';
import { describe, expect, it } from 'vitest';
import { BackupObjects, type BackupStore, prune, verifyChain } from '../src/index.js';
import { FakeCluster } from '../src/testing/index.js';
import { Bench, DyingStore, KEYS, NEVER } from './support/backups.js';

const RULES = { keepLast: 1, keepHourly: 0, keepDaily: 0, keepWeekly: 0, unfinishedMs: 86_400_000 };

async function history() {
  const cluster = new FakeCluster();
  const table = cluster.create('t');
  const bench = new Bench(cluster);
  const chains = [];
  for (let chain = 0; chain < 3; chain++) {
    let parent;
    for (let link = 0; link < 3; link++) {
      table.put(Buffer.from(`key ${chain} ${link}`), Buffer.alloc(3_000, link));
      parent = await bench.create({ parent });
      chains.push(parent.id);
    }
  }
  return { bench, ids: chains };
}

function parts(bench: Bench, store: BackupStore = bench.store) {
  return { objects: new BackupObjects(store), keys: KEYS, clock: bench.clock, signal: NEVER };
}

describe('a prune', () => {
  it('leaves the chain of the newest backup and nothing else, and a dry run leaves everything', async () => {
    const { bench, ids } = await history();
    const before = await bench.objectNames();
    const told = await prune(parts(bench), RULES, true);
    expect(await bench.objectNames()).toEqual(before);
    const done = await prune(parts(bench), RULES, false);
    expect(done.decisions).toEqual(told.decisions);
    const { good } = await bench.catalog.list();
    expect(good.map(({ id }) => id)).toEqual(ids.slice(6));
    expect(
      (await bench.objectNames()).every((name) => ids.slice(6).some((id) => name.includes(id))),
    ).toBe(true);
  });

  it('that is cut off at any deletion leaves only whole chains in the list', async () => {
    for (let cutAt = 0; cutAt < 14; cutAt++) {
      const { bench } = await history();
      let deletions = 0;
      const store = new DyingStore(bench.store, 0);
      const deleteMany = store.deleteMany.bind(store);
      store.deleteMany = (...args) => {
        if (deletions++ >= cutAt) return Promise.reject(new Error('killed'));
        return deleteMany(...args);
      };
      await prune(parts(bench, store), RULES, false).catch((error: unknown) => {
        expect(error).toMatchObject({ message: 'killed' });
      });
      const { good, unreadable } = await bench.catalog.list();
      expect(unreadable).toEqual([]);
      expect(good.length).toBeGreaterThanOrEqual(3);
      for (const { id } of good) {
        const chain = await bench.catalog.chain(id);
        const verify = {
          objects: bench.objects,
          keys: KEYS,
          signal: NEVER,
          onTable: () => undefined,
        };
        expect((await verifyChain(verify, chain)).problems).toEqual([]);
      }
    }
  });

  it('takes away what a dead run has left, once it is old, and not what it adds to before', async () => {
    const { bench, ids } = await history();
    const parent = await bench.catalog.find(ids[2] ?? '');
    const dying = new DyingStore(bench.store, 2);
    await expect(bench.create({ parent }, dying)).rejects.toThrow('killed');
    const [run] = (await bench.catalog.list()).unfinished;
    bench.clock.nowMs = (run?.aliveAtMs ?? 0) + 1_000;
    const soon = await prune(parts(bench), RULES, true);
    expect(soon.decisions.find(({ id }) => id === run?.id)).toMatchObject({ keep: true });
    expect(soon.decisions.find(({ id }) => id === ids[0])).toMatchObject({ keep: true });
    bench.clock.nowMs += RULES.unfinishedMs;
    await prune(parts(bench), RULES, false);
    const { good, unfinished } = await bench.catalog.list();
    expect(unfinished).toEqual([]);
    expect(good.map(({ id }) => id)).toEqual(ids.slice(6));
  });

  it('drops old parts of an object whose writer died, and none that may still be written', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'flotilla-prune-'));
    const store = await openObjectStore(pathToFileURL(folder).href);
    const left = join(folder, 'temporary', 'left');
    const young = join(folder, 'temporary', 'young');
    for (const file of [left, young]) writeFileSync(file, 'half a chunk');
    const leftAt = new Date(Date.now() - 2 * RULES.unfinishedMs);
    utimesSync(left, leftAt, leftAt);
    const { bench } = await history();
    await prune(parts(bench, store), RULES, true);
    expect(existsSync(left)).toBe(true);
    await prune(parts(bench, store), RULES, false);
    expect(existsSync(left)).toBe(false);
    expect(existsSync(young)).toBe(true);
    await store.close();
    rmSync(folder, { recursive: true });
  });
});
