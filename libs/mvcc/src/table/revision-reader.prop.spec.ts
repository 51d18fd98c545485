/**
 * Reads at a revision through windows that hold next to nothing, against the model: whatever is written
 * meanwhile, they show one moment, or end with an error.
 */
import fc from 'fast-check';
import { type mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import {
  bytes,
  del,
  deleteBatch,
  dummy,
  entries,
  entry,
  FROM_KEY,
  put,
  putBatch,
  shownFully,
} from '../testing/commands.js';
import { newTable, TABLE_ID, tableOf } from '../testing/every-crash.js';
import { TableModel } from '../testing/table-model.js';
import { RevisionReader } from './revision-reader.js';
import { LatestReader, type RowCursor } from './row-reader.js';
import { activeKeyspace } from './slots.js';
import { openStage } from './table-stage.js';
import { type TableStateMachine } from './table-state-machine.js';

const RUNS = 150;
const WHOLE = { start: bytes(''), end: undefined };

const key = fc.constantFrom('a', 'a\0', 'a\0\0', 'ab', 'b', '\0', 'c', 'd', 'e', '\xff');
const value = fc.constantFrom('', '\0', '1', 'value');
const command: fc.Arbitrary<mvccV1.Command> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(key, value).map(([k, v]) => put(k, v)) },
  { weight: 2, arbitrary: key.map((k) => del(k)) },
  { weight: 1, arbitrary: fc.tuple(key, key).map(([k, end]) => del(k, end)) },
  {
    weight: 1,
    arbitrary: fc.array(fc.tuple(key, value), { maxLength: 6 }).map((all) => putBatch(all)),
  },
  { weight: 1, arbitrary: fc.array(key, { maxLength: 5 }).map((all) => deleteBatch(all)) },
);
const log = fc.array(command, { minLength: 1, maxLength: 25 });
const bounds = fc.record({
  keysMax: fc.integer({ min: 1, max: 6 }),
  bytesMax: fc.constantFrom(1, 8, 1_000),
});

function readerAt(
  engine: Engine,
  table: TableStateMachine,
  revision: number,
  windowBounds: { keysMax: number; bytesMax: number },
): RevisionReader {
  const keyspace = activeKeyspace(engine, TABLE_ID);
  const latest = new LatestReader(engine, keyspace);
  const { epoch } = table.state;
  const newestNow = () => table.state.revision;
  const isOvertaken = () => table.state.compactedRevision > revision;
  const view = { engine, keyspace, latest, epoch, revision, newestNow, isOvertaken };
  return new RevisionReader(view, windowBounds);
}

function rest(cursor: RowCursor): string[] {
  const rows: string[] = [];
  for (let row = cursor.next(); row !== undefined; row = cursor.next()) rows.push(shownFully(row));
  cursor.close();
  expect(cursor.next()).toBeUndefined();
  return rows;
}

describe('a read at a revision, in windows of a few keys', () => {
  it('shows the rows of that revision, also when more is written while it runs', () => {
    const input = fc.tuple(log, fc.integer({ min: 1, max: 4 }), fc.nat(), fc.nat(12), log, bounds);
    fc.assert(
      fc.property(input, ([commands, batch, at, steps, later, windowBounds]) => {
        const engine = openMemoryEngine();
        const table = newTable(engine);
        const model = new TableModel();
        const all = entries(commands);
        for (let from = 0; from < all.length; from += batch) {
          table.apply(all.slice(from, from + batch));
        }
        for (const [index, one] of commands.entries()) model.apply(one, index + 1);
        const revision = 1 + (at % model.revision);
        const expected = model.rowsAt(revision);
        const reader = readerAt(engine, table, revision, windowBounds);
        for (const [name, row] of model.at(revision)) {
          expect(reader.get(bytes(name))?.version).toBe(row.version);
        }
        expect(reader.get(bytes('none'))).toBeUndefined();
        const cursor = reader.open({ range: WHOLE, keysOnly: false, rowsHint: 1 });
        const rows: string[] = [];
        for (let step = 0; step < steps; step++) {
          const row = cursor.next();
          if (row !== undefined) rows.push(shownFully(row));
        }
        table.apply(entries(later, all.length));
        expect([...rows, ...rest(cursor)]).toEqual(expected);
        const keys = reader.open({ range: WHOLE, keysOnly: true, rowsHint: 1 });
        expect(rest(keys)).toEqual(expected.map((row) => `${row.split('=')[0]}=@0/0/0`));
      }),
      { numRuns: RUNS },
    );
  });

  it('ends with an error once a compaction has overtaken it, and not with other rows', () => {
    const log = ['a', 'b', 'c', 'd', 'a', 'b', 'c', 'd'].map((name, at) => put(name, String(at)));
    for (const keysMax of [2, 4]) {
      const engine = openMemoryEngine();
      const table = newTable(engine);
      for (const one of entries(log)) table.apply([one]);
      const reader = readerAt(engine, table, 4, { keysMax, bytesMax: 1_000 });
      const cursor = reader.open({ range: WHOLE, keysOnly: false, rowsHint: 1 });
      const first = cursor.next();
      expect(first && shownFully(first)).toBe('a=0@1/1/1');
      while (!table.compact(8).done);
      // The window of four keys held all of them.
      if (keysMax === 4) expect(rest(cursor)).toHaveLength(3);
      else expect(() => rest(cursor)).toThrow(expect.objectContaining({ code: 'TABLE_COMPACTED' }));
    }
  });
});

describe('a range at a revision that is longer than a window', () => {
  const KEYS = 6_000;
  const names = Array.from({ length: KEYS }, (_, at) => `k${String(at).padStart(5, '0')}`);
  const filled = (value: string) => putBatch(names.map((name) => [name, value]));
  const query = { key: bytes(''), rangeEnd: FROM_KEY, revision: 1, pageBytesMax: 10_000 };

  function pagesOf(table: TableStateMachine, between: (page: number) => void): string[] {
    const rows: string[] = [];
    const pages = table.iterate(query);
    for (let page = pages.next(), count = 0; page; page = pages.next(), count++) {
      rows.push(...page.kvs.map(shownFully));
      between(count);
    }
    return rows;
  }

  it('is that of the revision to its end, while the same keys are written on', () => {
    const table = tableOf(entries([filled('1'), filled('2'), del('\0', '\0')]));
    let index = 3;
    const rows = pagesOf(table, (page) => {
      if (page % 3 === 0) table.apply([entry(++index, filled(`at ${page}`))]);
    });
    expect(index).toBeGreaterThan(4);
    expect(rows).toEqual(names.map((name) => `${name}=1@1/1/1`));
  });

  const overtaken: [string, (table: TableStateMachine, engine: Engine) => void][] = [
    ['a compaction', (table) => void table.compact(2)],
    [
      'numbering that began anew',
      (table) => void table.apply([entry(4, dummy({ leaderIndex: 0n }))]),
    ],
    ['a table that was destroyed', (table) => table.destroy()],
    [
      'another state',
      (table, engine) => {
        const stage = openStage({ engine, tableId: TABLE_ID });
        const view = tableOf(entries([1, 2, 3, 4].map((each) => filled(`${each}`)))).openSnapshot();
        for (let chunk = view.next(); chunk; chunk = view.next()) stage.write(chunk.data);
        stage.finish(bytes('note'));
        table.installStaged();
        table.removeInactive();
      },
    ],
  ];
  it.each(overtaken)('ends with an error when overtaken by %s', (_, overtake) => {
    const engine = openMemoryEngine();
    const table = tableOf(entries([filled('1'), filled('2'), filled('3')]), engine);
    const between = (page: number) => {
      if (page === 2) overtake(table, engine);
    };
    expect(() => pagesOf(table, between)).toThrow(
      expect.objectContaining({ code: 'TABLE_COMPACTED' }),
    );
  });
});
