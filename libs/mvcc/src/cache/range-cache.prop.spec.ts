/**
 * Packed ranges, with runs kept in memory, against the same ranges of a table that keeps nothing: whatever
 * is applied, compacted, taken over from a snapshot or opened anew, and wherever others get their turn,
 * every page is the same byte for byte. The caches are so small that something has to go all the time.
 */
import fc from 'fast-check';
import { hot, type mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { openStage } from '../table/table-stage.js';
import { TableStateMachine } from '../table/table-state-machine.js';
import { type PackedPages, type RangeQuery, type TableIterator } from '../table/table-types.js';
import {
  bytes,
  del,
  dummy,
  entry,
  FROM_KEY,
  opDelete,
  opPut,
  put,
  putBatch,
  txn,
} from '../testing/commands.js';
import { RangeCache } from './range-cache.js';

const TABLE_IDS = [10_001, 10_002];
const RUNS = 100;
const NO_HEADER = new Uint8Array(0);

const key = fc.oneof(
  fc.constantFrom('', '\0', 'a', 'b', 'a\0', 'a\0\0', 'ab', '\xff', '\xff\xff'),
  fc.nat(99).map((at) => `key/${at}`),
  fc.uint8Array({ maxLength: 2 }).map((any) => Buffer.from(any).toString('latin1')),
);
const value = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('', '\0', 'v', 'w', '\xff\0', 'x'.repeat(40)) },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(100), 'x'.repeat(130), 'x'.repeat(2_000)) },
);
const pair = fc.tuple(key, value);
const pairs = (from: number, count: number, v: string): mvccV1.Command =>
  putBatch(Array.from({ length: count }, (_, at): [string, string] => [`key/${from + at}`, v]));
const many = fc
  .tuple(fc.nat(60), fc.integer({ min: 10, max: 90 }), value)
  .map(([from, count, v]) => pairs(from, count, v));

const command: fc.Arbitrary<mvccV1.Command | undefined> = fc.oneof(
  { weight: 6, arbitrary: pair.map(([k, v]) => put(k, v)) },
  { weight: 3, arbitrary: many },
  { weight: 2, arbitrary: key.map((k) => del(k)) },
  { weight: 1, arbitrary: fc.tuple(key, key).map(([k, end]) => del(k, end)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(pair, key, key)
      .map(([[k, v], other, end]) => txn({ success: [opPut(k, v), opDelete(other, end)] })),
  },
  { weight: 1, arbitrary: fc.constant(dummy({ leaderIndex: 0n })) },
  { weight: 1, arbitrary: fc.constant(undefined) },
);
const commands = fc.array(command, { minLength: 1, maxLength: 4 });
const at = fc.constantFrom(0, 0, 0, 1);

const rarely = fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true));
const query: fc.Arbitrary<RangeQuery> = fc
  .record({
    key: key.map(bytes),
    rangeEnd: fc.oneof(
      { weight: 5, arbitrary: fc.constant(FROM_KEY) },
      { weight: 3, arbitrary: key.map(bytes) },
      { weight: 1, arbitrary: fc.constant(undefined) },
    ),
    limit: fc.oneof(fc.constant(0), fc.nat(40)),
    keysOnly: rarely,
    countOnly: rarely,
    pageBytesMax: fc.constantFrom(100, 200, 1_000, 4_000_000),
  })
  .map(({ keysOnly, ...rest }) => ({ ...rest, keysOnly: keysOnly && !rest.countOnly }));

type Step =
  | { kind: 'apply'; at: number; commands: (mvccV1.Command | undefined)[] }
  | { kind: 'read'; at: number; queries: RangeQuery[]; moments: boolean[] }
  | { kind: 'open'; at: number; query: RangeQuery }
  | { kind: 'advance'; which: number; moments: boolean[] }
  | { kind: 'compact'; at: number }
  | { kind: 'install'; at: number; commands: (mvccV1.Command | undefined)[] }
  | { kind: 'reopen'; at: number };

const queries = fc.array(query, { minLength: 1, maxLength: 8 });
/** Whether it may go on, each time it is asked; afterwards it may. */
const moments = fc.array(fc.boolean(), { maxLength: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('apply' as const), at, commands }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('read' as const), at, queries, moments }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('open' as const), at, query }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('advance' as const), which: fc.nat(3), moments }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('install' as const), at, commands }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const), at }) },
);

/** Two tables on one engine, with or without a cache that both use. */
class Side {
  readonly engine: Engine = openMemoryEngine();
  private readonly tables: TableStateMachine[];

  constructor(private readonly rangeCache: RangeCache | undefined) {
    this.tables = TABLE_IDS.map((tableId) => this.open(tableId));
  }

  table(index: number): TableStateMachine {
    const table = this.tables[index];
    if (table === undefined) throw new Error('no such table');
    return table;
  }

  reopen(index: number): void {
    this.tables[index] = this.open(TABLE_IDS[index] ?? 0);
  }

  install(index: number, from: TableStateMachine): void {
    const stage = openStage({ engine: this.engine, tableId: TABLE_IDS[index] ?? 0 });
    const view = from.openSnapshot();
    for (let chunk = view.next(); chunk; chunk = view.next()) stage.write(chunk.data);
    view.close();
    stage.finish(bytes('note'));
    this.table(index).installStaged();
    this.table(index).removeInactive();
  }

  private open(tableId: number): TableStateMachine {
    return new TableStateMachine({ engine: this.engine, tableId, rangeCache: this.rangeCache });
  }
}

/** The same range of both sides, and how far each was read. */
interface Pair {
  readonly packed: PackedPages;
  readonly plain: TableIterator;
  parts: Uint8Array[];
  bytes: number;
  isOver: boolean;
}

function openPair(cached: TableStateMachine, plain: TableStateMachine, query: RangeQuery): Pair {
  const [packed, expected] = [cached.iteratePacked(query), plain.iterate(query)];
  return { packed, plain: expected, parts: [], bytes: 0, isOver: false };
}

/** One piece of a page; a page that is whole is held against the one of the other side. */
function advance(pair: Pair, moments: readonly boolean[]): void {
  const asked = moments[Symbol.iterator]();
  const slice = pair.packed.slice(() => asked.next().value ?? true);
  if (slice === undefined) {
    expect(pair.plain.next()).toBeUndefined();
    pair.isOver = true;
    return;
  }
  pair.parts.push(...slice.parts);
  pair.bytes += slice.bytes;
  if (!slice.isLast) return;
  const page = pair.plain.next() ?? { kvs: [], more: true, count: -1 };
  const { parts, bytes: length } = pair;
  const { more, count } = slice;
  const answer = hot.encodePackedRangeResponse(NO_HEADER, { parts, bytes: length, more, count });
  expect(answer.toString('latin1')).toBe(
    hot.encodeRangeResponse(NO_HEADER, page).toString('latin1'),
  );
  pair.parts = [];
  pair.bytes = 0;
}

function finish(pair: Pair, moments: readonly boolean[]): void {
  while (!pair.isOver) advance(pair, moments);
  pair.packed.close();
}

function applyTo(table: TableStateMachine, all: readonly (mvccV1.Command | undefined)[]): void {
  const first = table.state.appliedIndex + 1;
  table.apply(all.map((one, offset) => entry(first + offset, one)));
}

describe.each([
  { bytesMax: 0, hits: 0, evictions: 0 },
  { bytesMax: 8_000, hits: RUNS, evictions: RUNS },
  { bytesMax: 4_000_000, hits: RUNS, evictions: 0 },
])('packed ranges with a cache of $bytesMax bytes', ({ bytesMax, ...least }) => {
  it('give the pages of a table without one, whatever is done to it', () => {
    let [evictions, hits] = [0, 0];
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => {
        const cache = bytesMax === 0 ? undefined : new RangeCache({ bytesMax });
        const [cached, plain, ahead] = [new Side(cache), new Side(undefined), new Side(undefined)];
        const open: Pair[] = [];
        for (const side of [cached, plain, ahead]) applyTo(side.table(0), [pairs(0, 100, 'first')]);
        for (const one of steps) {
          if (one.kind === 'advance') {
            const pair = open[one.which];
            if (pair && !pair.isOver) advance(pair, one.moments);
            continue;
          }
          const [table, same, source] = [cached, plain, ahead].map((side) => side.table(one.at));
          if (!table || !same || !source) throw new Error('a side has no such table');
          if (one.kind === 'apply') {
            for (const each of [table, same, source]) applyTo(each, one.commands);
          } else if (one.kind === 'read') {
            for (const each of one.queries) finish(openPair(table, same, each), one.moments);
          } else if (one.kind === 'open') {
            open.push(openPair(table, same, one.query));
          } else if (one.kind === 'compact') {
            for (const each of [table, same, source]) each.compact(each.state.revision);
          } else if (one.kind === 'install') {
            applyTo(source, one.commands);
            for (const side of [cached, plain]) side.install(one.at, source);
          } else {
            // What is open ends with the table that it was opened on.
            for (const pair of open) finish(pair, []);
            cached.reopen(one.at);
          }
        }
        for (const pair of open) finish(pair, []);
        const stats = cache?.stats();
        expect(stats?.bytes ?? 0).toBeLessThanOrEqual(bytesMax);
        evictions += stats?.evictions ?? 0;
        hits += stats?.hits ?? 0;
      }),
      { numRuns: RUNS },
    );
    expect(evictions).toBeGreaterThanOrEqual(least.evictions);
    expect(hits).toBeGreaterThanOrEqual(least.hits);
  });
});
