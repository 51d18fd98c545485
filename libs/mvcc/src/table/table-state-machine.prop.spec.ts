/**
 * Random command sequences against the model: results, every past revision, compaction, replay, and
 * the same content however the entries are split.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { type mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openLmdbEngine } from '../engine/lmdb/lmdb-engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { openRocksEngine } from '../engine/rocksdb/rocksdb-engine.js';
import {
  bytes,
  compare,
  del,
  deleteBatch,
  dummy,
  entry,
  FROM_KEY,
  opDelete,
  opPut,
  opRange,
  put,
  putBatch,
  sequence,
  shownFully,
  shownResponse,
  txn,
} from '../testing/commands.js';
import { readRange } from '../testing/engine-compliance.js';
import { contentOf } from '../testing/table-content.js';
import { TableModel } from '../testing/table-model.js';
import { TableStateMachine } from './table-state-machine.js';
import { type LogEntry } from './table-types.js';

const TABLE_ID = 7;
const RUNS = 150;

// Few keys, so that they meet; with zero bytes, prefixes of each other, 0x01 and 0xff.
const key = fc.constantFrom(
  'a',
  'a\0',
  'a\0\0',
  'a\x01',
  'ab',
  'b',
  '\0',
  'c\xff',
  '\xff',
  'a\0\xff',
);
const value = fc.constantFrom('', '\0', '1', '2', 'value', '\xff\0');
const rangeEnd = fc.oneof(key, fc.constantFrom('', '\0', 'b'));
const operator = fc.constantFrom('EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL' as const);
const flag = fc.boolean();

const operation: fc.Arbitrary<mvccV1.RequestOp> = fc.oneof(
  fc.tuple(key, value, flag).map(([k, v, prev]) => opPut(k, v, prev)),
  fc
    .tuple(key, rangeEnd, flag, flag)
    .map(([k, end, prevKv, count]) => opDelete(k, end, { prevKv, count })),
  fc
    .tuple(key, rangeEnd, fc.nat(4), flag)
    .map(([k, end, limit, keysOnly]) => opRange(k, end, { limit, keysOnly })),
  fc
    .tuple(key, rangeEnd, fc.nat(4))
    .map(([k, end, limit]) => opRange(k, end, { limit, countOnly: true })),
  fc.constant({ request: undefined }),
);

const condition: fc.Arbitrary<mvccV1.Compare> = fc
  .tuple(key, operator, fc.option(value, { nil: undefined }), fc.oneof(fc.constant(''), rangeEnd))
  .map(([k, one, v, end]) => compare(k, one, v, end));

const single: fc.Arbitrary<mvccV1.Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(key, value, flag).map(([k, v, prevKvs]) => put(k, v, { prevKvs })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(key, fc.option(rangeEnd, { nil: undefined }), flag, flag)
      .map(([k, end, prevKvs, count]) => del(k, end, { prevKvs, count })),
  },
  {
    weight: 1,
    arbitrary: fc.array(fc.tuple(key, value), { maxLength: 5 }).map((all) => putBatch(all)),
  },
  { weight: 1, arbitrary: fc.array(key, { maxLength: 5 }).map((all) => deleteBatch(all)) },
  {
    weight: 3,
    arbitrary: fc
      .record({
        compare: fc.array(condition, { maxLength: 2 }),
        success: fc.array(operation, { maxLength: 5 }),
        failure: fc.array(operation, { maxLength: 3 }),
      })
      .map((parts) => txn(parts)),
  },
  { weight: 1, arbitrary: fc.constant(dummy()) },
);

const local: fc.Arbitrary<mvccV1.Command | undefined> = fc.oneof(
  { weight: 10, arbitrary: single },
  { weight: 1, arbitrary: fc.array(single, { maxLength: 4 }).map((members) => sequence(members)) },
  { weight: 1, arbitrary: fc.constant(undefined) },
);

/** As a follower cluster gets them: indexes that mostly grow, repeat, or begin anew after a reset. */
const replicated: fc.Arbitrary<mvccV1.Command[]> = fc
  .array(fc.tuple(single, fc.integer({ min: -3, max: 4 }), fc.nat(40)), { maxLength: 30 })
  .map((steps) => {
    let leaderIndex = 10;
    return steps.map(([command, step, kind]) => {
      leaderIndex = kind === 0 ? 0 : Math.max(1, leaderIndex + step);
      if (kind === 0) return dummy({ leaderIndex: 0n });
      return { ...command, leaderIndex: BigInt(leaderIndex) };
    });
  });

/** Members of a batch in the order they were pulled. */
function grouped(commands: mvccV1.Command[], size: number): mvccV1.Command[] {
  if (size <= 1) return commands;
  const groups: mvccV1.Command[] = [];
  for (let at = 0; at < commands.length; at += size) {
    groups.push(sequence(commands.slice(at, at + size)));
  }
  return groups;
}

const newTable = (engine: Engine = openMemoryEngine()): TableStateMachine =>
  new TableStateMachine({ engine, tableId: TABLE_ID });

function logOf(commands: (mvccV1.Command | undefined)[]): LogEntry[] {
  return commands.map((command, at) => entry(at + 1, command));
}

function applyInGroups(table: TableStateMachine, log: LogEntry[], size: number): void {
  for (let at = 0; at < log.length; at += size) table.apply(log.slice(at, at + size));
}

const everyRow = (engine: Engine): string[] =>
  readRange(engine, { gte: Buffer.alloc(0), lt: Buffer.alloc(8, 0xff) }, 100);

function rowsAt(table: TableStateMachine, revision: number): string[] {
  const query = { key: bytes(''), rangeEnd: FROM_KEY, revision };
  return table.range(query).kvs.map(shownFully);
}

function expectSamePast(table: TableStateMachine, model: TableModel, from: number): void {
  expect(rowsAt(table, 0)).toEqual(model.rowsAt(Infinity));
  expect(table.stats().keys).toBe(model.state.size);
  for (let revision = Math.max(1, from); revision <= model.revision; revision += 1) {
    const expected = model.rowsAt(revision);
    expect(rowsAt(table, revision)).toEqual(expected);
    for (const [name, row] of model.at(revision)) {
      expect(table.get(bytes(name), { revision })?.modRevision).toBe(row.mod);
    }
  }
}

function expectSameResults(
  table: TableStateMachine,
  model: TableModel,
  commands: (mvccV1.Command | undefined)[],
  size: number,
): void {
  const log = logOf(commands);
  for (let at = 0; at < log.length; at += size) {
    const results = table.apply(log.slice(at, at + size));
    const shown = results.map((one) => ({ ...one, responses: one.responses.map(shownResponse) }));
    const expected = commands
      .slice(at, at + size)
      .map((one, next) => model.apply(one, at + next + 1));
    expect(shown).toEqual(expected);
  }
}

const localLog = fc.array(local, { maxLength: 30 });
const groupSize = fc.integer({ min: 1, max: 8 });

describe('a table against the model', () => {
  it('gives the same results, and the same rows at every revision', () => {
    fc.assert(
      fc.property(localLog, groupSize, (commands, size) => {
        const table = newTable();
        const model = new TableModel();
        expectSameResults(table, model, commands, size);
        expectSamePast(table, model, 0);
        expect(table.state.revision).toBe(model.revision);
      }),
      { numRuns: RUNS },
    );
  });

  it('does so for commands of a leader cluster, repeated ones and resets included', () => {
    fc.assert(
      fc.property(replicated, groupSize, groupSize, (commands, sequenceSize, size) => {
        const table = newTable();
        const model = new TableModel();
        expectSameResults(table, model, grouped(commands, sequenceSize), size);
        expectSamePast(table, model, 0);
        expect(table.state.leaderIndex).toBe(model.leaderIndex);
      }),
      { numRuns: RUNS },
    );
  });

  it('answers ranges, limits and counts at any revision, in pages of any size', () => {
    const query = fc.tuple(key, rangeEnd, fc.nat(5), fc.nat(30), fc.integer({ min: 97, max: 160 }));
    fc.assert(
      fc.property(localLog, query, (commands, [from, end, limit, at, pageBytesMax]) => {
        const table = newTable();
        const model = new TableModel();
        expectSameResults(table, model, commands, 8);
        const revision = Math.min(at, model.revision);
        const inRange = (row: string): boolean => {
          const name = row.slice(0, row.lastIndexOf('='));
          return name >= from && (end === '\0' || name < end);
        };
        const all = model.rowsAt(revision === 0 ? Infinity : revision).filter(inRange);
        const cut = limit > 0 ? all.slice(0, limit) : all;
        const base = { key: bytes(from), rangeEnd: bytes(end), limit, revision };
        const pages = table.iterate({ ...base, pageBytesMax });
        const rows: string[] = [];
        const more: boolean[] = [];
        for (let page = pages.next(); page !== undefined; page = pages.next()) {
          expect(page.count).toBe(page.kvs.length);
          rows.push(...page.kvs.map(shownFully));
          more.push(page.more);
        }
        expect(rows).toEqual(cut);
        expect(more.pop()).toBe(cut.length < all.length);
        expect(more.every(Boolean)).toBe(true);
        const counted = table.range({ ...base, countOnly: true });
        expect(counted).toEqual({ kvs: [], more: cut.length < all.length, count: cut.length });
      }),
      { numRuns: RUNS },
    );
  });

  it('compaction in steps of any size changes no read at or after its revision', () => {
    const steps = fc.tuple(localLog, fc.nat(30), fc.integer({ min: 1, max: 5 }), localLog);
    fc.assert(
      fc.property(steps, ([commands, at, rowsMax, later]) => {
        const engine = openMemoryEngine();
        const table = newTable(engine);
        const model = new TableModel();
        expectSameResults(table, model, commands, 4);
        const revision = Math.min(at, model.revision);
        let calls = 0;
        for (let done = false; !done; calls += 1) {
          done = table.compact(revision, { rowsMax }).done;
          expectSamePast(table, model, revision);
          expect(calls).toBeLessThan(1000);
        }
        // Checks that the numbers of the meta row are those of the rows.
        if (commands.length > 0) contentOf(engine, TABLE_ID);
        for (const command of later) {
          const index = table.state.appliedIndex + 1;
          table.apply([entry(index, command)]);
          model.apply(command, index);
        }
        expectSamePast(table, model, revision);
        while (!table.compact(model.revision).done);
        expect(table.stats().historyRows).toBe(0);
        expect(everyRow(engine)).toHaveLength(2 * (model.state.size + 1));
      }),
      { numRuns: RUNS },
    );
  });
});

describe('determinism', () => {
  it('the same log split in any way, stopped and replayed, leaves the same content', () => {
    const input = fc.tuple(localLog, replicated, groupSize, groupSize, fc.nat(60), fc.nat(60));
    fc.assert(
      fc.property(input, ([own, pulled, first, second, stop, back]) => {
        const log = logOf([...own, ...grouped(pulled, 3)]);
        const reference = openMemoryEngine();
        applyInGroups(newTable(reference), log, first);
        const engine = openMemoryEngine();
        applyInGroups(newTable(engine), log.slice(0, stop), second);
        // A new object over the same engine, given entries it has already: a restart.
        const from = Math.max(0, Math.min(stop, log.length) - back);
        applyInGroups(newTable(engine), log.slice(from), first + 1);
        expect(contentOf(engine, TABLE_ID)).toEqual(contentOf(reference, TABLE_ID));
        expect(newTable(engine).stats().historyRows).toBe(newTable(reference).stats().historyRows);
      }),
      { numRuns: RUNS },
    );
  });

  it.each([
    ['RocksDB', openRocksEngine],
    ['LMDB', openLmdbEngine],
  ])('%s and memory hold the same rows byte for byte', async (_, open) => {
    const directory = await mkdtemp(join(tmpdir(), 'flotilla-table-'));
    const engineOnDisk = await open({ directory, memtableBudgetBytes: 4 << 20 });
    let tableId = 0;
    fc.assert(
      fc.property(localLog, replicated, groupSize, (own, pulled, size) => {
        tableId += 1;
        const log = logOf([...own, ...pulled]);
        const memory = openMemoryEngine();
        const tables = [memory, engineOnDisk].map(
          (engine) => new TableStateMachine({ engine, tableId }),
        );
        for (const table of tables) {
          applyInGroups(table, log, size);
          table.compact(Math.floor(table.state.revision / 2), { rowsMax: 3 });
        }
        const prefix = Buffer.alloc(8);
        prefix.writeUInt32BE(tableId);
        const range = {
          gte: prefix.subarray(0, 4),
          lt: Buffer.concat([prefix.subarray(0, 4), bytes('\xff')]),
        };
        expect(readRange(engineOnDisk, range, 50)).toEqual(readRange(memory, range, 50));
        for (const revision of [table0Revision(tables), 0]) {
          expect(rowsOf(tables[1], revision)).toEqual(rowsOf(tables[0], revision));
        }
      }),
      { numRuns: 60 },
    );
    await engineOnDisk.close();
    await rm(directory, { recursive: true, force: true });
  });
});

const table0Revision = (tables: TableStateMachine[]): number =>
  tables[0]?.state.compactedRevision ?? 0;
const rowsOf = (table: TableStateMachine | undefined, revision: number): string[] =>
  table === undefined ? [] : rowsAt(table, revision);
