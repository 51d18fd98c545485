/**
 * Runs that break: what is listed is always whole, and what a killed run has left is gone on with.
 */
import { describe, expect, it } from 'vitest';
import { BackupError, verifyChain } from '../src/index.js';
import { FakeCluster } from '../src/testing/index.js';
import { Bench, DyingStore, KEYS, NEVER, recordsAt } from './support/backups.js';

function filled(rows = 400) {
  const cluster = new FakeCluster();
  cluster.rowsPerChunk = 50;
  for (const name of ['a', 'b']) {
    const table = cluster.create(name);
    for (let at = 0; at < rows; at++) {
      table.put(Buffer.from(`${name} ${String(at).padStart(6, '0')}`), Buffer.alloc(200, at));
    }
  }
  return { cluster, bench: new Bench(cluster) };
}

function tableOf(cluster: FakeCluster, name: string) {
  const table = cluster.tables.get(name);
  if (!table) throw new Error(`no table ${name}`);
  return table;
}

const CUT = () => {
  throw new BackupError('SOURCE_CUT', 'a node was lost');
};

describe('a run', () => {
  it('that is killed at any write leaves nothing that is listed as good, and the next one ends it', async () => {
    const { cluster } = filled();
    const writes = await countWrites();
    expect(writes).toBeGreaterThan(100);
    for (let killedAt = 0; killedAt < writes; killedAt += 7) {
      const bench = new Bench(cluster);
      await expect(bench.create({}, new DyingStore(bench.store, killedAt))).rejects.toThrow(
        'killed',
      );
      expect((await bench.catalog.list()).good).toEqual([]);
      // What is written in between is no reason to begin anew: the revision can still be read.
      const revision = tableOf(cluster, 'a').revision;
      const manifest = await bench.create();
      expect((await bench.catalog.list()).good.map(({ id }) => id)).toEqual([manifest.id]);
      expect(await bench.rows(manifest.id, 'a')).toEqual(
        recordsAt(tableOf(cluster, 'a'), revision),
      );
    }
    async function countWrites(): Promise<number> {
      const { bench } = filled();
      await bench.create();
      return (await bench.objectNames()).length;
    }
  });

  it('goes on behind the last segment that a killed one has written, at the same revision', async () => {
    const { cluster, bench } = filled();
    const table = tableOf(cluster, 'a');
    const revision = table.revision;
    const wish = { tables: ['a'] };
    await expect(bench.create(wish, new DyingStore(bench.store, 70))).rejects.toThrow('killed');
    table.put(Buffer.from('a later'), Buffer.from('x'));
    cluster.reads.length = 0;
    const { id } = await bench.create(wish);
    expect(cluster.reads).toHaveLength(1);
    expect(cluster.reads[0]).toMatchObject({ atRevision: revision });
    expect(cluster.reads[0]?.afterKey?.toString()).toMatch(/^a 000\d+/);
    expect(await bench.rows(id, 'a')).toEqual(recordsAt(table, revision));
  });

  it('writes again what its segments tell of and is not there', async () => {
    const { cluster, bench } = filled();
    const wish = { tables: ['a'] };
    await expect(bench.create(wish, new DyingStore(bench.store, 70))).rejects.toThrow('killed');
    const chunk = (await bench.objectNames()).find((name) => name.endsWith('.chunk'));
    await bench.store.delete(chunk ?? '');
    const { id } = await bench.create(wish);
    const table = tableOf(cluster, 'a');
    expect(await bench.rows(id, 'a')).toEqual(recordsAt(table, table.revision));
  });

  it('begins a table anew when its revision cannot be read any more', async () => {
    const { cluster, bench } = filled();
    const table = tableOf(cluster, 'a');
    const wish = { tables: ['a'] };
    await expect(bench.create(wish, new DyingStore(bench.store, 70))).rejects.toThrow('killed');
    table.put(Buffer.from('a 000000'), undefined);
    table.keptFrom = table.revision;
    const { id } = await bench.create(wish);
    expect(await bench.rows(id, 'a')).toEqual(recordsAt(table, table.revision));
  });

  it('goes on at another node when one is lost, without mixing two revisions', async () => {
    const { cluster, bench } = filled();
    const table = tableOf(cluster, 'a');
    const revision = table.revision;
    let cuts = 0;
    cluster.onChunk = (name, chunk) => {
      if (name !== 'a' || chunk !== 2 || cuts++ >= 5) return;
      table.put(Buffer.from('a 000399'), Buffer.from(`written meanwhile ${cuts}`));
      CUT();
    };
    const { id } = await bench.create();
    expect(cuts).toBeGreaterThan(2);
    expect(await bench.rows(id, 'a')).toEqual(recordsAt(table, revision));
  });

  it('begins anew rather than take rows of another revision than it asked for', async () => {
    const { cluster, bench } = filled();
    const table = tableOf(cluster, 'a');
    const read = cluster.read.bind(cluster);
    // A node that does not know of revisions gives the table as it is.
    cluster.read = (request) => read({ ...request, atRevision: 0 });
    let cuts = 0;
    cluster.onChunk = (name, chunk) => {
      if (name !== 'a' || chunk !== 2 || cuts++ >= 1) return;
      table.put(Buffer.from('a 000000'), Buffer.from('behind what was read already'));
      CUT();
    };
    const { id, tables } = await bench.create();
    expect(tables.find(({ name }) => name === 'a')?.revision).toBe(table.revision);
    expect(await bench.rows(id, 'a')).toEqual(recordsAt(table, table.revision));
  });

  it('ends with the failure when no node gets any further', async () => {
    const { cluster, bench } = filled(10);
    cluster.onChunk = CUT;
    await expect(bench.create()).rejects.toMatchObject({ code: 'SOURCE_CUT' });
    expect((await bench.catalog.list()).good).toEqual([]);
  });

  it('leaves a run of somebody else alone while that says it lives', async () => {
    const { bench } = filled(10);
    await expect(bench.create({}, new DyingStore(bench.store, 1))).rejects.toThrow('killed');
    const [begun] = await bench.objectNames('backups/');
    const content = await bench.objects.need(begun ?? '', 1e6);
    expect(content.toString()).toContain('"runner": "test"');
    const { unfinished } = await bench.catalog.list();
    const other = unfinished[0]?.begun;
    expect(other).toBeDefined();
    bench.clock.nowMs = (unfinished[0]?.aliveAtMs ?? 0) + 1_000;
    const { encodeBegun } = await import('../src/format/begun.js');
    if (other) await bench.store.put(begun ?? '', encodeBegun({ ...other, runner: 'another' }));
    await expect(bench.create()).rejects.toMatchObject({ code: 'RUN_BUSY', retryable: true });
    bench.clock.nowMs += 120_000;
    await expect(bench.create()).resolves.toMatchObject({ id: other?.id });
  });

  it('skips a table that is deleted meanwhile, and says so, but not one that was asked for', async () => {
    const { cluster, bench } = filled(10);
    cluster.onChunk = (name) => {
      if (name === 'a') throw new BackupError('TABLE_CHANGED', 'gone');
    };
    await expect(bench.create()).resolves.toMatchObject({
      goneTables: ['a'],
      tables: [{ name: 'b' }],
    });
    await expect(bench.create({ tables: ['a'] })).rejects.toMatchObject({ code: 'TABLE_CHANGED' });
  });

  it('that cannot go back to the parent is whole for that table, with the reason', async () => {
    const { cluster, bench } = filled(10);
    const parent = await bench.create();
    const table = tableOf(cluster, 'a');
    table.put(Buffer.from('new'), Buffer.from('x'));
    table.keptFrom = table.revision;
    const { id, tables } = await bench.create({ parent });
    expect(tables.find(({ name }) => name === 'a')).toMatchObject({
      sinceRevision: 0,
      wholeBecause: 'changes since 10 cannot be told: compacted',
    });
    expect(tables.find(({ name }) => name === 'b')).toMatchObject({ sinceRevision: 10, rows: 0 });
    expect(await bench.rows(id, 'a')).toEqual(recordsAt(table, table.revision));
    expect(await bench.rows(id, 'b')).toHaveLength(10);
  });
});

describe('a backup', () => {
  it('holds keys and values of the largest size, in chunks that are smaller than one of them', async () => {
    const cluster = new FakeCluster();
    const table = cluster.create('t');
    for (let at = 0; at < 4; at++) {
      const key = Buffer.alloc(1_024, 250 + at);
      table.put(key, Buffer.from(Array.from({ length: 2 * 1024 * 1024 }, (_, i) => (i * i) >> at)));
    }
    table.put(Buffer.from([0]), Buffer.alloc(0));
    const bench = new Bench(cluster);
    const { id } = await bench.create({ keyId: 'k2' });
    const found = await bench.rows(id, 't');
    const due = recordsAt(table, 5);
    expect(found.map(({ key }) => key.toString('hex'))).toEqual(
      due.map(({ key }) => key.toString('hex')),
    );
    for (const [at, { value }] of found.entries()) {
      expect(due[at]?.value.equals(value)).toBe(true);
    }
  });

  it('whose parent is taken away while it is made does not come to be', async () => {
    const { cluster, bench } = filled(10);
    const parent = await bench.create();
    cluster.onChunk = () => void bench.store.delete(`backups/${parent.id}/manifest.json`);
    await expect(bench.create({ parent })).rejects.toMatchObject({ code: 'BACKUP_NOT_FOUND' });
    expect((await bench.catalog.list()).good).toEqual([]);
  });
});

describe('a restore', () => {
  it('goes on behind the last batch after it was killed, and gives every row once', async () => {
    const { cluster, bench } = filled(12_000);
    const table = tableOf(cluster, 'a');
    const { id } = await bench.create({ tables: ['a'], chunkBytes: 64 * 1024 });
    let fills = 0;
    cluster.onFill = () => fills++;
    await bench.restore(id, 'a', 'whole');
    const wholeFills = fills;
    expect(wholeFills).toBeGreaterThan(2);
    fills = 0;
    cluster.onFill = (batch) => {
      fills++;
      if (batch === 2) throw new Error('killed');
    };
    await expect(bench.restore(id, 'a', 'copy')).rejects.toThrow('killed');
    expect(cluster.tables.has('copy')).toBe(false);
    cluster.onFill = () => fills++;
    await expect(bench.restore(id, 'a', 'copy')).resolves.toMatchObject({
      resumed: true,
      rows: 12_000,
    });
    // The second one was written before it was told of.
    expect(fills).toBe(wholeFills);
    const copy = tableOf(cluster, 'copy').at(Number.MAX_SAFE_INTEGER);
    expect([...copy.keys()]).toEqual([...table.at(table.revision).keys()]);
  });

  it('in place does not replace a table that came in between', async () => {
    const { cluster, bench } = filled(10);
    const { id } = await bench.create();
    cluster.onFill = () => cluster.create('a');
    await expect(bench.restore(id, 'a', 'a')).rejects.toMatchObject({ code: 'TABLE_CHANGED' });
  });

  it('is not mixed with one that has another purpose', async () => {
    const { cluster, bench } = filled(10);
    const { id } = await bench.create();
    await cluster.begin('copy', 'recovery', false);
    await expect(bench.restore(id, 'a', 'copy')).rejects.toMatchObject({ code: 'RUN_BUSY' });
  });
});

describe('what is encrypted', () => {
  it('holds no key and no value in any object, and is useless with another key', async () => {
    const { bench } = filled(20);
    const { id } = await bench.create({ keyId: 'k1' });
    for (const name of await bench.objectNames()) {
      const content = await bench.objects.need(name, 1e6);
      expect(content.includes('a 0000')).toBe(false);
      expect(content.toString()).not.toContain(Buffer.from('a 000019').toString('base64'));
    }
    const name = `backups/${id}/manifest.json`;
    const manifest = JSON.parse((await bench.objects.need(name, 1e6)).toString()) as object;
    await bench.store.put(name, Buffer.from(JSON.stringify({ ...manifest, keyId: 'k2' })));
    expect((await bench.catalog.list()).good).toEqual([]);
  });

  it('cannot have two chunks change places', async () => {
    const { bench } = filled(40);
    const { id } = await bench.create({ keyId: 'k1' });
    const { openChunk, sha256Of } = await import('../src/format/chunk-codec.js');
    const names = (await bench.objectNames()).filter((each) => each.endsWith('1.chunk'));
    const bytes = await bench.objects.need(names[0] ?? '', 1e6);
    const table = Number((names[0] ?? '').split('/')[2]);
    const key = KEYS.get('k1');
    const open = (part: string, backup = id) =>
      openChunk(bytes, sha256Of(bytes), { backup, table, part }, key, 'x');
    await expect(open('chunk 1')).resolves.toBeDefined();
    await expect(open('chunk 2')).rejects.toThrow('belongs elsewhere');
    await expect(open('chunk 1', 'another')).rejects.toThrow('belongs elsewhere');
  });
});

describe('a verification', () => {
  it('of a good chain has nothing to say, and of one without its parent it does', async () => {
    const { cluster, bench } = filled(30);
    const parent = await bench.create();
    tableOf(cluster, 'a').put(Buffer.from('x'), Buffer.from('y'));
    const { id } = await bench.create({ parent });
    const chain = await bench.catalog.chain(id);
    const parts = { objects: bench.objects, keys: KEYS, signal: NEVER, onTable: () => undefined };
    expect(await verifyChain(parts, chain)).toMatchObject({ problems: [], rows: 61 });
    const broken = await verifyChain(parts, chain.slice(1));
    expect(broken.problems.map(({ message }) => message).join()).toContain('has a gap');
  });
});
