/**
 * Tables that keep versions in memory against tables that do not: whatever is applied, compacted, taken
 * over from a snapshot or opened anew, every answer is the same. The cache is so small that something
 * has to go all the time.
 */
import fc from 'fast-check';
import { type mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import {
  bytes,
  del,
  dummy,
  entry,
  FROM_KEY,
  put,
  putBatch,
  shownFully,
  shownResponse,
} from '../testing/commands.js';
import { openStage } from '../table/table-stage.js';
import { TableStateMachine } from '../table/table-state-machine.js';
import { VersionCache } from './version-cache.js';

const TABLE_IDS = [10_001, 10_002];
const RUNS = 150;

const key = fc.oneof(
  fc.constantFrom('', '\0', 'a', 'b', 'a\0', 'ab', '\xff'),
  fc.uint8Array({ maxLength: 2 }).map((any) => Buffer.from(any).toString('latin1')),
);
const value = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('', '\0', 'v', 'w', '\xff\0', 'x'.repeat(40)) },
  { weight: 1, arbitrary: fc.constantFrom('x'.repeat(100), 'x'.repeat(2_000)) },
);
const pair = fc.tuple(key, value);

const command: fc.Arbitrary<mvccV1.Command | undefined> = fc.oneof(
  { weight: 6, arbitrary: pair.map(([k, v]) => put(k, v, { prevKvs: true })) },
  { weight: 2, arbitrary: key.map((k) => del(k, undefined, { prevKvs: true })) },
  { weight: 1, arbitrary: fc.tuple(key, key).map(([k, end]) => del(k, end, { prevKvs: true })) },
  { weight: 2, arbitrary: fc.array(pair, { maxLength: 12 }).map((all) => putBatch(all)) },
  { weight: 1, arbitrary: fc.constant(dummy({ leaderIndex: 0n })) },
  { weight: 1, arbitrary: fc.constant(undefined) },
);
const commands = fc.array(command, { minLength: 1, maxLength: 6 });
const at = fc.nat(TABLE_IDS.length - 1);

type Step =
  | { kind: 'apply'; at: number; commands: (mvccV1.Command | undefined)[] }
  | { kind: 'read'; at: number; keys: string[]; back: number }
  | { kind: 'compact'; at: number }
  | { kind: 'install'; at: number; commands: (mvccV1.Command | undefined)[] }
  | { kind: 'reopen'; at: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('apply' as const), at, commands }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      at,
      keys: fc.array(key, { minLength: 1, maxLength: 12 }),
      back: fc.nat(3),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('install' as const), at, commands }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const), at }) },
);

/** Two tables on one engine, with or without a cache that both use. */
class Side {
  readonly engine: Engine = openMemoryEngine();
  private readonly tables: TableStateMachine[];

  constructor(private readonly cache: VersionCache | undefined) {
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
    return new TableStateMachine({ engine: this.engine, tableId, cache: this.cache });
  }
}

function applyTo(table: TableStateMachine, all: readonly (mvccV1.Command | undefined)[]): unknown {
  const first = table.state.appliedIndex + 1;
  const results = table.apply(all.map((one, offset) => entry(first + offset, one)));
  return results.map((one) => ({ ...one, responses: one.responses.map(shownResponse) }));
}

function answersOf(table: TableStateMachine, keys: readonly string[], back: number): unknown {
  const revision = Math.max(table.state.revision - back, table.state.compactedRevision);
  const newest = keys.map((one) => table.get(bytes(one)));
  const older = keys.map((one) => table.get(bytes(one), { revision }));
  return [...newest, ...older].map((row) => row && [shownFully(row), row.version, row.lease]);
}

function everyRow(table: TableStateMachine): string[] {
  return table.range({ key: bytes(''), rangeEnd: FROM_KEY }).kvs.map(shownFully);
}

describe('tables that keep versions in memory', () => {
  it('answer as tables that do not, whatever is done to them', () => {
    let evictions = 0;
    let hits = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.integer(), (steps, seed) => {
        const cache = new VersionCache({ bytesMax: 2_048, seed });
        const [cached, plain, ahead] = [new Side(cache), new Side(undefined), new Side(undefined)];
        for (const one of steps) {
          const [table, same, source] = [cached, plain, ahead].map((side) => side.table(one.at));
          if (!table || !same || !source) throw new Error('a side has no such table');
          if (one.kind === 'apply') {
            expect(applyTo(table, one.commands)).toEqual(applyTo(same, one.commands));
            applyTo(source, one.commands);
          } else if (one.kind === 'read') {
            const expected = answersOf(same, one.keys, one.back);
            expect(answersOf(table, one.keys, one.back)).toEqual(expected);
          } else if (one.kind === 'compact') {
            for (const each of [table, same, source]) each.compact(each.state.revision);
          } else if (one.kind === 'install') {
            applyTo(source, one.commands);
            for (const side of [cached, plain]) side.install(one.at, source);
          } else cached.reopen(one.at);
        }
        for (const index of TABLE_IDS.keys()) {
          const rows = everyRow(plain.table(index));
          expect(everyRow(cached.table(index))).toEqual(rows);
          // Point reads go by the cache, ranges do not: both show the same rows.
          for (const row of plain.table(index).range({ key: bytes(''), rangeEnd: FROM_KEY }).kvs) {
            const found = cached.table(index).get(row.key);
            expect(found && shownFully(found)).toBe(shownFully(row));
          }
        }
        expect(cache.stats().bytes).toBeLessThanOrEqual(2_048);
        evictions += cache.stats().evictions;
        hits += cache.stats().hits;
      }),
      { numRuns: RUNS },
    );
    expect(evictions).toBeGreaterThan(RUNS);
    expect(hits).toBeGreaterThan(RUNS);
  });
});
