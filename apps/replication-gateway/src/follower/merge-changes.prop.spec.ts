/** Own rows and what changed since make the rows of now, however both are cut into pieces. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeLeaderTable, type Write } from '../../test/support/fake-clusters.js';
import { mergeChanges } from './merge-changes.js';
import { type Row, type SnapshotPiece } from './ports.js';

const write = fc.tuple(
  fc.integer({ min: 0, max: 30 }).map((nth) => `key ${String(nth).padStart(2, '0')}`),
  fc.option(fc.string({ maxLength: 3 }), { nil: undefined }),
);

async function* inPieces<T>(items: readonly T[], size: number): AsyncGenerator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) {
    await Promise.resolve();
    yield items.slice(at, at + size);
  }
}

/** Changed keys since an index, some of them in each piece; the last one may be empty. */
async function* changes(
  table: FakeLeaderTable,
  since: number,
  size: number,
): AsyncGenerator<SnapshotPiece> {
  const rows = new Map(table.rows().map((row) => [row.key.toString(), row]));
  const keys = [...new Set(table.writes.slice(since).map(([key]) => key))].sort();
  for (let at = 0; at <= keys.length; at += size) {
    const some = keys.slice(at, at + size);
    await Promise.resolve();
    yield {
      rows: some.flatMap((key) => rows.get(key) ?? []),
      deletedKeys: some.filter((key) => !rows.has(key)).map((key) => Buffer.from(key)),
      bytes: 0,
      isLast: at + size > keys.length,
    };
  }
}

describe('own rows merged with what changed', () => {
  it('are what a whole snapshot has, in the order of keys', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array<Write>(write, { maxLength: 80 }),
        fc.array<Write>(write, { maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        async (before, after, ownSize, changeSize) => {
          const table = new FakeLeaderTable();
          table.writes.push(...before, ...after);
          const merged: Row[] = [];
          await mergeChanges(
            inPieces(table.rows(before.length), ownSize),
            changes(table, before.length, changeSize),
            (row) => void merged.push(row),
          );
          expect(merged).toEqual(table.rows());
        },
      ),
    );
  });
});
