/**
 * A table restored to a revision or to a time is what it was then, from whatever backups and pieces of the log
 * there are; where something is missing or damaged, nothing is restored and it is named.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeCluster, type FakeTable } from '../src/testing/index.js';
import { Bench, NEVER, KEYS } from './support/backups.js';
import { planTo, restoreTo, seenAtMs, storePiece } from './support/logs.js';
import { LogCatalog } from '../src/index.js';

const key = fc.integer({ min: 0, max: 12 }).map((at) => Buffer.from(`key ${at + 10}`));
const value = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const write = fc.record({ key, value: fc.option(value, { nil: undefined, freq: 3 }) });
type Step = (table: FakeTable) => void;
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: write.map(
      (each): Step =>
        (table) =>
          table.put(each.key, each.value),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(key, key).map(
      ([from, to]): Step =>
        (table) =>
          table.deleteRange(from, to),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .uniqueArray(write, { selector: (each) => each.key.toString(), minLength: 1, maxLength: 4 })
      .map(
        (writes): Step =>
          (table) =>
            table.txn(writes),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.boolean().map(
      (has): Step =>
        (table) =>
          table.nothing(has),
    ),
  },
);
const steps = fc.array(step, { minLength: 1, maxLength: 30 });
/** Where pieces begin and end, as parts of the whole; two shippers overlap as they like. */
const pieces = fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 8 });

async function scene(
  given: readonly Step[],
  backupsAt: readonly number[],
  stored: readonly (readonly [number, number])[],
  keyId: string,
) {
  const cluster = new FakeCluster();
  const table = cluster.create('t');
  const bench = new Bench(cluster);
  const backups: number[] = [];
  let parent;
  for (const [at, each] of given.entries()) {
    each(table);
    if (!backupsAt.includes(at)) continue;
    parent = await bench.create({ parent, keyId });
    backups.push(table.revision);
  }
  const due = stored.map(([one, other]) => {
    const [first, last] = [1 + (one % given.length), 1 + (other % given.length)];
    return { first: Math.min(first, last), last: Math.max(first, last) };
  });
  for (const piece of due) await storePiece(bench, 't', table, piece, keyId);
  return { cluster, table, bench, backups, due };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Whether what is stored tells the revision. */
function isThere({ backups, due }: Scene, revision: number): boolean {
  const has = (at: number) => due.some(({ first, last }) => first <= at && at <= last);
  for (let at = revision; at >= 1; at--) {
    if (backups.includes(at)) return true;
    if (!has(at)) return false;
  }
  return revision >= 1;
}

const rowsOf = (table: FakeTable | undefined, revision: number) => {
  const rows = [...(table?.at(revision).values() ?? [])];
  return rows.sort((a, b) => Buffer.compare(a.key, b.key));
};

describe('a restore to a revision', () => {
  it('is the table as it was, at every revision that is stored, and is refused at every other one', async () => {
    await fc.assert(
      fc.asyncProperty(
        steps,
        fc.array(fc.nat({ max: 29 }), { maxLength: 3 }),
        pieces,
        fc.constantFrom('', 'k1'),
        async (given, backupsAt, stored, keyId) => {
          const there = await scene(given, backupsAt, stored, keyId);
          const { cluster, table, bench } = there;
          for (let revision = 1; revision <= given.length; revision++) {
            const restored = restoreTo(bench, 't', 'copy', { kind: 'revision', revision });
            if (isThere(there, revision)) {
              await restored;
              const copy = cluster.tables.get('copy');
              expect(rowsOf(copy, revision)).toEqual(rowsOf(table, revision));
              expect(copy?.revision).toBeGreaterThanOrEqual(revision);
              cluster.delete('copy');
            } else {
              await expect(restored).rejects.toMatchObject({
                code: expect.stringMatching(/REVISION_GONE|BACKUP_NOT_FOUND/) as string,
              });
              expect([cluster.tables.has('copy'), cluster.shadows.size]).toEqual([false, 0]);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('goes on behind its last batch when it is asked for again', async () => {
    const given = Array.from({ length: 3_000 }, (_, at): Step => {
      return (table) => table.put(Buffer.from(`key ${at % 700}`), Buffer.alloc(500, at));
    });
    const { cluster, table, bench } = await scene(given, [999], [[1_000, 2_999]], '');
    const point = { kind: 'revision', revision: 2_900 } as const;
    const seen: number[] = [];
    cluster.onFill = (batch) => {
      seen.push(batch);
      if (batch === 2) throw new Error('killed');
    };
    await expect(restoreTo(bench, 't', 'copy', point)).rejects.toThrow('killed');
    await expect(restoreTo(bench, 't', 'copy', point)).resolves.toMatchObject({ resumed: true });
    expect(seen).toEqual([1, 2, 3]);
    expect(rowsOf(cluster.tables.get('copy'), 2_900)).toEqual(rowsOf(table, 2_900));
  });

  it('names the revisions that are missing, and where they ought to be', async () => {
    const given = Array.from({ length: 20 }, (_, at): Step => {
      return (table) => table.put(Buffer.from(`key ${at}`), Buffer.from('x'));
    });
    const { table, bench } = await scene(given, [4], [[5, 9]], '');
    await storePiece(bench, 't', table, { first: 14, last: 20 });
    const folder = `logs/${table.tableId}/${table.epoch}/`;
    await expect(planTo(bench, 't', { kind: 'revision', revision: 18 })).rejects.toThrow(
      `revisions 11 to 13 are not stored below ${folder}`,
    );
    await expect(planTo(bench, 't', { kind: 'revision', revision: 3 })).rejects.toThrow(
      'its oldest backup is of revision 5, its log begins at 6',
    );
    await expect(planTo(bench, 'u', { kind: 'revision', revision: 3 })).rejects.toMatchObject({
      code: 'BACKUP_NOT_FOUND',
    });
  });

  it('takes the table that had the revision, where a name has meant several', async () => {
    const cluster = new FakeCluster();
    const bench = new Bench(cluster);
    const older = cluster.create('t');
    for (let at = 0; at < 9; at++) older.put(Buffer.from('older'), Buffer.from(`${at}`));
    await storePiece(bench, 't', older, { first: 1, last: 9 });
    const younger = cluster.create('t');
    for (let at = 0; at < 4; at++) younger.put(Buffer.from('younger'), Buffer.from(`${at}`));
    await storePiece(bench, 't', younger, { first: 1, last: 4 });
    const idAt = async (revision: number) =>
      (await planTo(bench, 't', { kind: 'revision', revision })).history.tableId;
    expect(await idAt(4)).toBe(younger.tableId);
    expect(await idAt(5)).toBe(older.tableId);
  });
});

describe('a restore to a time', () => {
  it('is the table with the last entry that was seen by then', async () => {
    await fc.assert(
      fc.asyncProperty(steps, pieces, fc.nat(), fc.nat(), async (given, stored, at, size) => {
        // Pieces one behind the other, and others over them.
        const cuts = Array.from({ length: given.length }, (_, from) => from);
        const step = 1 + (size % 5);
        const row = cuts.filter((from) => from % step === 0);
        const whole = row.map((from) => [from, Math.min(from + step, given.length) - 1] as const);
        const there = await scene(given, [], [...stored, ...whole], '');
        const revision = 1 + (at % given.length);
        for (const atMs of [seenAtMs(revision), seenAtMs(revision) + 9]) {
          const plan = await planTo(there.bench, 't', { kind: 'time', atMs });
          expect(plan.revision).toBe(revision);
        }
        const early = planTo(there.bench, 't', { kind: 'time', atMs: seenAtMs(1) - 1 });
        await expect(early).rejects.toThrow('nothing of it was seen by then');
      }),
      { numRuns: 40 },
    );
  });

  it('before the log is the newest backup that was finished by then', async () => {
    const given = Array.from({ length: 9 }, (_, at): Step => {
      return (table) => table.put(Buffer.from(`key ${at}`), Buffer.from('x'));
    });
    const { bench } = await scene(given, [3, 6], [], '');
    const [first] = (await bench.catalog.list()).good;
    const atMs = Date.parse(first?.finishedAt ?? '');
    expect(await planTo(bench, 't', { kind: 'time', atMs })).toMatchObject({ revision: 4 });
    const later = planTo(bench, 't', { kind: 'time', atMs: atMs + 1e9 });
    await expect(later).resolves.toMatchObject({ revision: 7 });
  });
});

describe('a piece of a log', () => {
  it('with a flipped bit is named, and nothing is restored from it', async () => {
    const given = Array.from({ length: 12 }, (_, at): Step => {
      return (table) => table.put(Buffer.from(`key ${at}`), Buffer.from('value '.repeat(at)));
    });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('', 'k1'), fc.nat(), fc.nat(), async (keyId, at, bit) => {
        const { cluster, bench } = await scene(
          given,
          [2],
          [
            [3, 6],
            [7, 11],
          ],
          keyId,
        );
        const names = await bench.objectNames('logs/');
        const name = names[at % names.length] ?? '';
        const content = await bench.objects.need(name, 1e6);
        const place = bit % (content.length * 8);
        content.writeUInt8(content.readUInt8(place >>> 3) ^ (1 << (place & 7)), place >>> 3);
        await bench.store.put(name, content);
        const restored = restoreTo(bench, 't', 'copy', { kind: 'revision', revision: 12 });
        await expect(restored).rejects.toThrow(name);
        expect([cluster.tables.has('copy'), cluster.shadows.size]).toEqual([false, 0]);
      }),
      { numRuns: 80 },
    );
  });

  it('cannot take the place of another one, nor lose its encryption, where there is a key', async () => {
    const given = Array.from({ length: 4 }, (_, at): Step => {
      return (table) => table.put(Buffer.from(`key ${at}`), Buffer.from('secret'));
    });
    const { bench, table } = await scene(
      given,
      [],
      [
        [0, 1],
        [2, 3],
      ],
      'k1',
    );
    const logs = new LogCatalog(bench.objects, KEYS);
    const [one, other] = await logs.pieces(table.tableId, table.epoch);
    if (!one || !other) throw new Error('there are no pieces');
    expect((await bench.objects.need(one.name, 1e6)).includes('secret')).toBe(false);
    const bytes = await bench.objects.need(one.name, 1e6);
    const moved = one.name.replace(/0+1-0+2-/, '00000000000000000003-00000000000000000004-');
    await bench.store.put(moved, bytes);
    const piece = { ...one, name: moved, first: 3, last: 4 };
    await expect(logs.entries(piece, ['k1'])).rejects.toThrow('belongs elsewhere');
    const { tableId, epoch } = table;
    await bench.objects.delete([one.name, moved]);
    const plain = new Bench(bench.cluster);
    await storePiece(plain, 't', table, { first: 1, last: 2 });
    const [bare] = await new LogCatalog(plain.objects, KEYS).pieces(tableId, epoch, NEVER);
    if (!bare) throw new Error('there is no piece');
    await bench.store.put(bare.name, await plain.objects.need(bare.name, 1e6));
    const restored = restoreTo(bench, 't', 'copy', { kind: 'revision', revision: 4 });
    await expect(restored).rejects.toThrow('it is not encrypted, as it ought to be');
  });
});
