/** Shipped logs are verified, listed and pruned: what is missing or damaged is named, what is needed stays. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogCatalog, listLogs, prune, verifyChain } from '../src/index.js';
import { FakeCluster, type FakeTable } from '../src/testing/index.js';
import { Bench, KEYS, NEVER } from './support/backups.js';
import { planTo, seenAtMs, storePiece } from './support/logs.js';

const RULES = { keepLast: 1, keepHourly: 0, keepDaily: 0, keepWeekly: 0, unfinishedMs: 86_400_000 };

/** Ten writes, a backup, ten more, another backup, five more; all of it shipped in pieces of five. */
async function history() {
  const cluster = new FakeCluster();
  const table = cluster.create('t');
  const bench = new Bench(cluster);
  write(table, 10);
  const first = await bench.create();
  write(table, 10);
  const second = await bench.create();
  write(table, 5);
  for (let from = 1; from < 25; from += 5) {
    await storePiece(bench, 't', table, { first: from, last: from + 4 }, 'k1');
  }
  return { cluster, table, bench, first, second };
}

function write(table: FakeTable, count: number): void {
  for (let at = 0; at < count; at++) {
    table.put(Buffer.from(`key ${at}`), Buffer.from(`${table.revision}`));
  }
}

async function verify(bench: Bench, id: string) {
  const { good } = await bench.catalog.list();
  const parts = { objects: bench.objects, keys: KEYS, signal: NEVER, onTable: () => undefined };
  return verifyChain(parts, await bench.catalog.chain(id), good);
}

async function lasts(bench: Bench, { tableId, epoch }: FakeTable): Promise<number[]> {
  const pieces = await new LogCatalog(bench.objects, KEYS).pieces(tableId, epoch, NEVER);
  return pieces.map(({ last }) => last);
}

function parts(bench: Bench) {
  return { objects: bench.objects, keys: KEYS, clock: bench.clock, signal: NEVER };
}

describe('a verification', () => {
  it('of a backup reads the log that goes on from it, and names the object of every flipped bit', async () => {
    const { bench, first, second } = await history();
    expect(await verify(bench, first.id)).toMatchObject({ problems: [], chunks: 1 + 3 });
    expect(await verify(bench, second.id)).toMatchObject({ problems: [], chunks: 1 + 1 });
    const names = await bench.objectNames('logs/');
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), async (at, bit) => {
        const name = names[at % names.length] ?? '';
        const good = await bench.objects.need(name, 1e6);
        const spoilt = Buffer.from(good);
        const place = bit % (good.length * 8);
        spoilt.writeUInt8(spoilt.readUInt8(place >>> 3) ^ (1 << (place & 7)), place >>> 3);
        await bench.store.put(name, spoilt);
        const found = (await verify(bench, first.id)).problems.map(({ message }) => message);
        await bench.store.put(name, good);
        const isRead = name.endsWith('table.json') || !/-0+(5|10)-/.test(name);
        expect(found.some((message) => message.includes(name))).toBe(isRead);
      }),
      { numRuns: 80 },
    );
  });

  it('tells of a piece that is missing, unless a newer backup lies behind it', async () => {
    const { bench, table, first, second } = await history();
    const names = (await bench.objectNames('logs/')).filter((name) => name.endsWith('.log'));
    const folder = `logs/${table.tableId}/${table.epoch}/`;
    await bench.objects.delete([names[2] ?? '']);
    expect((await verify(bench, first.id)).problems).toEqual([]);
    write(table, 5);
    await storePiece(bench, 't', table, { first: 28, last: 30 });
    const due = { backup: first.id, message: `${folder}: revisions 26 to 27 are missing` };
    expect((await verify(bench, first.id)).problems).toMatchObject([due]);
    expect((await verify(bench, second.id)).problemCount).toBe(1);
  });

  it('reads the log of a table that is in no backup', async () => {
    const { cluster, bench, second } = await history();
    const young = cluster.create('young');
    write(young, 3);
    await storePiece(bench, 'young', young, { first: 1, last: 3 });
    const [name = ''] = await bench.objectNames(`logs/${young.tableId}/${young.epoch}/`);
    await bench.store.put(name, Buffer.from('x'));
    const { problems } = await verify(bench, second.id);
    expect(problems.map(({ message }) => message).join()).toContain(name);
  });
});

describe('a listing', () => {
  it('tells from which revision and time to which a table can be restored', async () => {
    const { cluster, bench, table, second } = await history();
    const late = cluster.create('late');
    write(late, 9);
    await storePiece(bench, 'late', late, { first: 4, last: 5 });
    await storePiece(bench, 'late', late, { first: 7, last: 9 });
    const { good } = await bench.catalog.list();
    const logs = new LogCatalog(bench.objects, KEYS);
    const listed = await listLogs(logs, good, NEVER);
    const ofT = { table: 't', tableId: table.tableId, first: 1, last: 25, objects: 5 };
    const times = { firstAtMs: seenAtMs(1), lastAtMs: seenAtMs(25), restorableFrom: 1 };
    const needy = { table: 'late', restorableFrom: 0 };
    expect(listed).toMatchObject([
      { ...ofT, ...times },
      { ...needy, first: 4, last: 5 },
      { ...needy, first: 7, last: 9 },
    ]);
    const oldest = (await bench.objectNames('logs/')).find((name) => name.includes('0001-'));
    await bench.objects.delete([oldest ?? '']);
    const [cut] = await listLogs(logs, good, NEVER);
    expect(cut).toMatchObject({ first: 6, restorableFrom: 10 });
    for (const { restorableFrom, last } of [cut].flatMap((each) => each ?? [])) {
      for (const revision of [restorableFrom, last]) {
        await planTo(bench, 't', { kind: 'revision', revision });
      }
    }
    expect(cut?.restorableFromMs).toBeLessThanOrEqual(Date.parse(second.finishedAt));
  });
});

describe('a prune', () => {
  it('keeps all of a log behind the oldest backup that is kept, and a dry run keeps everything', async () => {
    const { cluster, bench, table } = await history();
    const before = await lasts(bench, table);
    const given = { ...parts(bench), cluster: await cluster.cluster() };
    const told = await prune(given, RULES, true);
    expect(await lasts(bench, table)).toEqual(before);
    const done = await prune(given, RULES, false);
    expect(done.decisions).toEqual(told.decisions);
    expect(done.decisions).toContainEqual({
      id: `logs/${table.tableId}/${table.epoch}/`,
      kind: 'log',
      keep: false,
      reason: '4 pieces up to revision 20, where the oldest kept backup is',
    });
    expect(await lasts(bench, table)).toEqual([25]);
    await planTo(bench, 't', { kind: 'revision', revision: 25 });
  });

  it('keeps the log of a table that is in no backup as long as it is there, or was until lately', async () => {
    const { cluster, bench } = await history();
    const young = cluster.create('young');
    write(young, 3);
    await storePiece(bench, 'young', young, { first: 1, last: 3 });
    bench.clock.nowMs = Date.now();
    const run = async (isKnown = true) => {
      const there = isKnown ? await cluster.cluster() : undefined;
      await prune({ ...parts(bench), cluster: there }, RULES, false);
      return lasts(bench, young);
    };
    expect(await run()).toEqual([3]);
    cluster.delete('young');
    expect(await run()).toEqual([3]);
    bench.clock.nowMs += RULES.unfinishedMs - 60_000;
    expect(await run()).toEqual([3]);
    bench.clock.nowMs += 120_000;
    expect(await run(false)).toEqual([3]);
    const another = { ...(await cluster.cluster()), clusterId: 'another' };
    await prune({ ...parts(bench), cluster: another }, RULES, false);
    expect(await lasts(bench, young)).toEqual([3]);
    expect(await run()).toEqual([]);
    expect(await bench.objectNames(`logs/${young.tableId}/`)).toEqual([]);
  });

  it('keeps all logs where a backup cannot be read', async () => {
    const { cluster, bench, table, first } = await history();
    const before = await lasts(bench, table);
    await bench.store.put(`backups/${first.id}/manifest.json`, Buffer.from('x'));
    await prune({ ...parts(bench), cluster: await cluster.cluster() }, RULES, false);
    expect(await lasts(bench, table)).toEqual(before);
  });
});
