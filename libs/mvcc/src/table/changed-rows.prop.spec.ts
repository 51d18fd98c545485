/**
 * What changed between two revisions, against the model: the state at the earlier one and the changes are the
 * state at the later one, whatever is written while they are read.
 */
import fc from 'fast-check';
import { type mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { bytes, del, entries, put, putBatch, shownFully } from '../testing/commands.js';
import { newTable, TABLE_ID, tableOf } from '../testing/every-crash.js';
import { TableModel } from '../testing/table-model.js';
import { ChangedRows, CHANGES_BOUNDS } from './changed-rows.js';
import { LatestReader } from './row-reader.js';
import { activeKeyspace } from './slots.js';
import { type ChangesIterator, type MayGoOn, type TableRow } from './table-types.js';

const key = fc.constantFrom('', 'a', 'a\0', 'ab', 'b', '\0', 'c', 'd', 'e', '\xff');
const value = fc.constantFrom('', '1', 'value', 'a longer value than others');
const command: fc.Arbitrary<mvccV1.Command> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(key, value).map(([k, v]) => put(k, v)) },
  { weight: 2, arbitrary: key.map((k) => del(k)) },
  { weight: 1, arbitrary: fc.tuple(key, key).map(([k, end]) => del(k, end)) },
  {
    weight: 1,
    arbitrary: fc.array(fc.tuple(key, value), { maxLength: 6 }).map((all) => putBatch(all)),
  },
);
const log = fc.array(command, { minLength: 1, maxLength: 30 });

interface Read {
  readonly rows: TableRow[];
  readonly deleted: Buffer[];
  readonly pages: number;
}

/** All pages; `between` is called after each piece. */
function readAll(changes: ChangesIterator, mayGoOn: MayGoOn, between: () => void): Read {
  const rows: TableRow[] = [];
  const deleted: Buffer[] = [];
  for (let pages = 1; ;) {
    const slice = changes.slice(mayGoOn);
    if (slice === undefined) throw new Error('there is no end');
    rows.push(...slice.rows);
    deleted.push(...slice.deletedKeys);
    if (slice.isLast && !slice.more) {
      expect(changes.slice(mayGoOn)).toBeUndefined();
      return { rows, deleted, pages };
    }
    if (slice.isLast) pages++;
    between();
  }
}

const name = (data: Uint8Array): string => Buffer.from(data).toString('latin1');
const isSorted = (keys: string[]) =>
  keys.every((each, at) => at === 0 || (keys[at - 1] ?? '') < each);

/** The rows of a revision, of the keys after one. */
function shownAt(model: TableModel, revision: number, afterKey = ''): Map<string, string> {
  const rows = [...model.at(revision).entries()].filter(([each]) => !afterKey || each > afterKey);
  const shown = rows.map(([each, { value: text, create, mod, version }]) => {
    return [each, `${each}=${text}@${create}/${mod}/${version}`] as const;
  });
  return new Map(shown);
}

describe('what changed between two revisions', () => {
  const span = fc.tuple(fc.nat(), fc.nat());
  const pages = fc.record({ pageBytesMax: fc.constantFrom(1, 20, 1_000), pieces: fc.boolean() });
  const after = fc.option(key, { nil: undefined });

  it('makes the state at the later one of that at the earlier one, while others write on', () => {
    fc.assert(
      fc.property(log, fc.integer({ min: 1, max: 4 }), span, pages, after, log, (...given) => {
        const [commands, batch, [one, other], { pageBytesMax, pieces }, afterKey, later] = given;
        const table = newTable(openMemoryEngine());
        const model = new TableModel();
        const all = entries(commands);
        for (let from = 0; from < all.length; from += batch) {
          table.apply(all.slice(from, from + batch));
        }
        for (const [index, each] of commands.entries()) model.apply(each, index + 1);
        if (model.revision === 0) return;
        const [since = 0, revision = 0] = [one, other]
          .map((each, at) => at + (each % (model.revision + 1 - at)))
          .sort((a, b) => a - b);
        if (revision === 0) return;
        const changes = table.iterateChanges({
          since,
          revision,
          pageBytesMax,
          ...(afterKey !== undefined && { afterKey: bytes(afterKey) }),
        });
        let index = all.length;
        const between = (): void => {
          const next = later[index - all.length];
          if (next) table.apply(entries([next], index++));
        };
        const read = readAll(changes, () => !pieces, between);
        // Old state and changes, of the keys that were asked for, are the new state.
        const now = shownAt(model, since, afterKey);
        for (const gone of read.deleted) now.delete(name(gone));
        for (const row of read.rows) now.set(name(row.key), shownFully(row));
        expect(now).toEqual(shownAt(model, revision, afterKey));
        expect(isSorted(read.rows.map((row) => name(row.key)))).toBe(true);
        expect(isSorted(read.deleted.map(name))).toBe(true);
        // Nothing is told that has not changed.
        for (const row of read.rows) expect(row.modRevision).toBeGreaterThan(since);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the bounds of what is told as changes', () => {
  const names = Array.from({ length: 9_000 }, (_, at) => `k${(at * 7919) % 9_000}`);
  const all = (text: string) => putBatch(names.map((each) => [each, text]));

  it('do not limit how much is sorted: thousands of keys come in order, once each', () => {
    const table = tableOf(entries([all('1'), all('2'), all('3')]));
    const changes = table.iterateChanges({ since: 1, pageBytesMax: 5_000 });
    const read = readAll(
      changes,
      () => true,
      () => undefined,
    );
    expect(read.rows.map((row) => name(row.key))).toEqual([...names].sort());
    expect(read.pages).toBeGreaterThan(5);
  });

  it('are kept in every piece: a little is looked at, then it is asked whether there is time', () => {
    const table = tableOf(entries([all('1'), all('2')]));
    const changes = table.iterateChanges({ since: 1, pageBytesMax: 5_000 });
    let pieces = 0;
    const read = readAll(
      changes,
      () => false,
      () => void pieces++,
    );
    expect(read.rows).toHaveLength(9_000);
    expect(pieces).toBeGreaterThan(9_000 / 64 + 9_000 / 32);
  });

  it.each([
    ['keys', { keysMax: 100 }],
    ['bytes of keys', { bytesMax: 500 }],
  ])('refuse more %s', (_, bounds) => {
    const engine = openMemoryEngine();
    const table = tableOf(entries([put('a', '1'), all('1')]), engine);
    const keyspace = activeKeyspace(engine, TABLE_ID);
    const { revision, epoch } = table.state;
    const view = {
      engine,
      keyspace,
      latest: new LatestReader(engine, keyspace),
      epoch,
      revision,
      newestNow: () => table.state.revision,
      isOvertaken: () => false,
    };
    const query = { since: 1, afterKey: bytes(''), pageBytesMax: 100 };
    const changes = new ChangedRows(view, query, { ...CHANGES_BOUNDS, ...bounds });
    expect(() =>
      readAll(
        changes,
        () => true,
        () => undefined,
      ),
    ).toThrow(expect.objectContaining({ code: 'TABLE_CHANGES_TOO_MANY' }));
    changes.close();
    const rewritten = new ChangedRows({ ...view }, query, {
      ...CHANGES_BOUNDS,
      undoneBytesMax: 10,
    });
    rewritten.slice(() => false);
    table.apply(entries([all('again')], 2));
    expect(() =>
      readAll(
        rewritten,
        () => true,
        () => undefined,
      ),
    ).toThrow(expect.objectContaining({ code: 'TABLE_CHANGES_TOO_MANY' }));
    rewritten.close();
  });

  it('end at what history holds: compacted before, compacted meanwhile, not written yet', () => {
    const table = tableOf(entries(['a', 'b', 'c', 'd'].map((each) => put(each, each))));
    const query = { pageBytesMax: 1 };
    const opened = table.iterateChanges({ since: 1, revision: 2, ...query });
    while (!table.compact(3).done);
    expect(() =>
      readAll(
        opened,
        () => true,
        () => undefined,
      ),
    ).toThrow(expect.objectContaining({ code: 'TABLE_COMPACTED' }));
    opened.close();
    const wrong = (since: number, revision?: number) => () =>
      table.iterateChanges({ since, ...(revision !== undefined && { revision }), ...query });
    expect(wrong(2)).toThrow(expect.objectContaining({ code: 'TABLE_COMPACTED' }));
    expect(wrong(3, 5)).toThrow(expect.objectContaining({ code: 'TABLE_FUTURE_REVISION' }));
    expect(wrong(5)).toThrow(expect.objectContaining({ code: 'TABLE_FUTURE_REVISION' }));
    const last = table.iterateChanges({ since: 3, ...query });
    expect(
      readAll(
        last,
        () => true,
        () => undefined,
      ).rows.map((row) => name(row.key)),
    ).toEqual(['d']);
  });
});

describe('a range at a revision that a lot was written since', () => {
  it('is read in pieces: nothing long is done before it is asked whether there is time', () => {
    const names = Array.from({ length: 3_000 }, (_, at) => `k${String(at).padStart(4, '0')}`);
    const all = (text: string) => putBatch(names.map((each) => [each, text]));
    const table = tableOf(entries([all('1'), all('2'), all('3')]));
    const view = table.iterate({ key: bytes(''), rangeEnd: Buffer.alloc(1), revision: 1 });
    const rows: string[] = [];
    let pieces = 0;
    for (let slice = view.slice(() => false); slice; slice = view.slice(() => false), pieces++) {
      rows.push(...slice.kvs.map((row) => shownFully(row)));
    }
    expect(rows).toEqual(names.map((each) => `${each}=1@1/1/1`));
    // Of 6,000 changes, 64 at a time, and of 3,000 rows.
    expect(pieces).toBeGreaterThan(6_000 / 64);
  });
});
