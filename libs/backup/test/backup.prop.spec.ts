/**
 * What a backup gives back is what the table was, whatever the bytes, the chunks and the bits that flip.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifyChain } from '../src/index.js';
import { FakeCluster } from '../src/testing/index.js';
import { Bench, KEYS, NEVER, recordsAt } from './support/backups.js';

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array));
/** A put, or a deletion of one of a few keys. */
const write = fc.record({
  key: fc.oneof(bytes(1, 3), bytes(1, 40)),
  value: fc.option(bytes(0, 600), { nil: undefined, freq: 4 }),
});
const writes = fc.array(write, { maxLength: 60 });
const keyId = fc.constantFrom('', 'k1');

interface Write {
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

function clusterOf(...rounds: readonly (readonly Write[])[]) {
  const cluster = new FakeCluster();
  const table = cluster.create('t');
  for (const { key, value } of rounds.flat()) table.put(key, value);
  return { cluster, table };
}

describe('a backup', () => {
  it('gives back every row with all its bytes and revisions, whatever the size of chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        writes,
        keyId,
        fc.integer({ min: 1_024, max: 9_000 }),
        fc.integer({ min: 1, max: 9 }),
        async (given, key, chunkBytes, rowsPerChunk) => {
          const { cluster, table } = clusterOf(given);
          cluster.rowsPerChunk = rowsPerChunk;
          const bench = new Bench(cluster);
          const { id, tables } = await bench.create({ keyId: key, chunkBytes });
          const due = recordsAt(table, table.revision);
          expect(await bench.rows(id, 't')).toEqual(due);
          expect(tables[0]).toMatchObject({ rows: due.length, revision: table.revision });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('as a chain of increments is the table as it was at each of them, deleted keys gone', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(writes, { minLength: 2, maxLength: 5 }),
        keyId,
        async (rounds, key) => {
          const { cluster, table } = clusterOf();
          const bench = new Bench(cluster);
          let parent;
          const made: { id: string; revision: number }[] = [];
          for (const round of rounds) {
            for (const each of round) table.put(each.key, each.value);
            parent = await bench.create({ parent, keyId: key });
            made.push({ id: parent.id, revision: table.revision });
          }
          for (const { id, revision } of made) {
            expect(await bench.rows(id, 't')).toEqual(recordsAt(table, revision));
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('names the object of every flipped bit, and gives back no row of a chunk with one', async () => {
    const { cluster } = clusterOf(
      Array.from({ length: 40 }, (_, at) => ({
        key: Buffer.from(`key ${at}`),
        value: Buffer.from('value '.repeat(at)),
      })),
    );
    await fc.assert(
      fc.asyncProperty(keyId, fc.nat(), fc.nat(), async (key, place, bit) => {
        const bench = new Bench(cluster);
        const { id } = await bench.create({ keyId: key });
        const names = (await bench.objectNames()).filter((name) => !name.includes('/begun-'));
        const name = names[place % names.length] ?? '';
        const content = await bench.objects.need(name, 1e6);
        const at = bit % (content.length * 8);
        content.writeUInt8(content.readUInt8(at >>> 3) ^ (1 << (at & 7)), at >>> 3);
        await bench.store.put(name, content);
        if (name.endsWith('manifest.json')) {
          const { good, unreadable } = await bench.catalog.list();
          expect(good).toEqual([]);
          expect(unreadable[0]?.reason).toContain(name);
          return;
        }
        const chain = await bench.catalog.chain(id);
        const parts = {
          objects: bench.objects,
          keys: KEYS,
          signal: NEVER,
          onTable: () => undefined,
        };
        const { problems } = await verifyChain(parts, chain);
        expect(problems.map(({ message }) => message).join()).toContain(name);
        if (name.endsWith('.chunk')) {
          expect(problems[0]?.message).toMatch(/chunk \d+ of table \d+/);
        }
        await expect(bench.rows(id, 't')).rejects.toMatchObject({ code: 'BACKUP_DAMAGED' });
        await expect(bench.restore(id, 't', 'copy')).rejects.toThrow(name);
        expect(bench.cluster.tables.has('copy')).toBe(false);
        bench.cluster.shadows.clear();
      }),
      { numRuns: 150, examples: [['k1', 7, 1043901743]] },
    );
  });
});
