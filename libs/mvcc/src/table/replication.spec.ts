/**
 * Commands of a leader cluster, entries of the log, and what a table refuses.
 */
import { mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import {
  bytes,
  compare,
  del,
  deleteBatch,
  dummy,
  entries,
  entry,
  FROM_KEY,
  opPut,
  opRange,
  put,
  putBatch,
  sequence,
  shown,
  shownFully,
  shownResponse,
  txn,
} from '../testing/commands.js';
import { readRange } from '../testing/engine-compliance.js';
import { CHANGE_ROW_BYTES_MAX } from './change-row.js';
import { TableError } from './table-error.js';
import { TableStateMachine } from './table-state-machine.js';
import { type ApplyResult } from './table-types.js';

const newTable = (engine: Engine = openMemoryEngine(), tableId = 1): TableStateMachine =>
  new TableStateMachine({ engine, tableId });

function run(table: TableStateMachine, ...commands: mvccV1.Command[]): ApplyResult[] {
  return table.apply(entries(commands, table.state.appliedIndex));
}

const rows = (table: TableStateMachine, revision = 0): string[] =>
  table.range({ key: bytes(''), rangeEnd: FROM_KEY, revision }).kvs.map(shownFully);

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof TableError ? error.code : `not a TableError: ${String(error)}`;
  }
  return 'nothing thrown';
}

const everyRow = (engine: Engine): string[] =>
  readRange(engine, { gte: Buffer.alloc(0), lt: Buffer.alloc(8, 0xff) }, 100);

describe('commands of a leader cluster', () => {
  it('the revision is the leader index of the command, not the index of the local entry', () => {
    const table = newTable();
    const [result] = run(table, put('a', '1', { leaderIndex: 500n }));
    expect(result).toMatchObject({ revision: 500, skipped: false });
    expect(rows(table)).toEqual(['a=1@500/500/1']);
    expect(table.state).toMatchObject({ appliedIndex: 1, leaderIndex: 500, revision: 500 });
  });

  it('B5: a command whose leader index does not grow changes nothing', () => {
    const table = newTable();
    const flip = txn(
      { compare: [compare('k')], success: [opPut('k', 'again')], failure: [opPut('k', 'first')] },
      { leaderIndex: 7n },
    );
    const results = run(table, flip, flip, put('k', 'old', { leaderIndex: 6n }));
    expect(results.map((result) => result.skipped)).toEqual([false, true, true]);
    expect(rows(table)).toEqual(['k=first@7/7/1']);
    expect(table.state).toMatchObject({ appliedIndex: 3, leaderIndex: 7 });
  });

  it('B5: of a sequence that overlaps the last one, only what is new is applied', () => {
    const table = newTable();
    const pulled = (from: number, to: number): mvccV1.Command[] =>
      Array.from({ length: to - from + 1 }, (_, at) =>
        put('k', String(from + at), { leaderIndex: BigInt(from + at), prevKvs: true }),
      );
    run(table, sequence(pulled(1, 4)));
    const [result] = run(table, sequence(pulled(3, 6)));
    expect(result?.responses.map(shownResponse)).toEqual([{ put: ['k=4'] }, { put: ['k=5'] }]);
    expect(result).toMatchObject({ revision: 6, skipped: false });
    expect(rows(table)).toEqual(['k=6@1/6/6']);
    expect(run(table, sequence(pulled(2, 6)))[0]).toMatchObject({ skipped: true });
  });

  it('B24: each member of a sequence keeps its own leader index as revision', () => {
    const table = newTable();
    const members = [
      put('a', '1', { leaderIndex: 3n }),
      put('b', '1', { leaderIndex: 5n }),
      put('a', '2', { leaderIndex: 9n }),
    ];
    run(table, sequence(members, { leaderIndex: 9n }));
    expect(rows(table)).toEqual(['a=2@3/9/2', 'b=1@5/5/1']);
    expect(rows(table, 3)).toEqual(['a=1@3/3/1']);
    expect(rows(table, 8)).toEqual(['a=1@3/3/1', 'b=1@5/5/1']);
  });

  it('members without a leader index take that of the sequence, and none of it is applied twice', () => {
    const table = newTable();
    const batch = sequence([put('a', '1'), put('b', '1')], { leaderIndex: 40n });
    const results = run(table, batch, batch);
    expect(results.map(({ revision, skipped }) => [revision, skipped])).toEqual([
      [40, false],
      [40, true],
    ]);
    expect(rows(table)).toEqual(['a=1@40/40/1', 'b=1@40/40/1']);
    expect(table.state.leaderIndex).toBe(40);
  });

  it('B2: a DUMMY leaves no row behind, with a leader index or without', () => {
    const engine = openMemoryEngine();
    const table = newTable(engine);
    run(table, dummy(), dummy({ leaderIndex: 12n }), dummy({ kv: put('', '').kv }));
    expect(rows(table)).toEqual([]);
    expect(everyRow(engine)).toHaveLength(2);
    expect(table.state).toMatchObject({ appliedIndex: 3, leaderIndex: 12, revision: 12 });
  });

  it('GC is taken as a DUMMY and can neither reset nor turn back the leader index', () => {
    const table = newTable();
    const gc = (leaderIndex?: bigint): mvccV1.Command => ({
      ...dummy({ leaderIndex }),
      type: mvccV1.Command_CommandType.GC,
    });
    run(table, put('a', '1', { leaderIndex: 8n }), gc(), gc(0n), gc(5n));
    expect(table.state).toMatchObject({ leaderIndex: 8, revision: 8, epoch: 1 });
    run(table, gc(11n));
    expect(table.state.leaderIndex).toBe(11);
    expect(rows(table)).toEqual(['a=1@8/8/1']);
  });

  it('a DUMMY with leader index 0 begins anew: rows stay, numbers may start over', () => {
    const engine = openMemoryEngine();
    const table = newTable(engine);
    run(table, put('a', '1', { leaderIndex: 90n }), put('b', '1', { leaderIndex: 91n }));
    run(table, put('a', '2', { leaderIndex: 92n }), dummy({ leaderIndex: 0n }));
    expect(table.state).toMatchObject({ leaderIndex: 0, revision: 0, epoch: 2 });
    run(table, put('a', '3', { leaderIndex: 3n }), del('b', undefined, { leaderIndex: 5n }));
    expect(rows(table, 2 + 1)).toEqual(['a=3@90/3/3', 'b=1@91/91/1']);
    expect(rows(table, 1)).toEqual(['a=2@90/92/2', 'b=1@91/91/1']);
    expect(rows(table)).toEqual(['a=3@90/3/3']);
    while (!table.compact(5).done);
    expect(table.stats().historyRows).toBe(0);
    expect(everyRow(engine)).toHaveLength(4);
  });

  it('a table filled by local entries can go over to smaller revisions of its leader cluster', () => {
    const table = newTable();
    run(
      table,
      dummy(),
      dummy(),
      putBatch([
        ['a', '1'],
        ['b', '1'],
      ]),
      dummy({ leaderIndex: 2n }),
    );
    run(table, put('a', '2', { leaderIndex: 3n }));
    expect(rows(table).map((row) => row.split('@')[0])).toEqual(['a=2', 'b=1']);
    expect(rows(table, 2).map((row) => row.split('@')[0])).toEqual(['a=1', 'b=1']);
  });

  it('batches of puts and deletes answer once per pair', () => {
    const table = newTable();
    const [filled] = run(
      table,
      putBatch([
        ['a', '1'],
        ['b', '1'],
        ['a', '2'],
      ]),
    );
    expect(filled?.responses).toHaveLength(3);
    const [emptied] = run(table, deleteBatch(['a', 'x', 'a'], { count: true }));
    expect(emptied?.responses.map(shownResponse)).toEqual([
      { deleted: 1, prev: [] },
      { deleted: 0, prev: [] },
      { deleted: 0, prev: [] },
    ]);
    expect(rows(table)).toEqual(['b=1@1/1/1']);
  });
});

describe('entries of the log', () => {
  it('an entry without data advances the applied index and nothing else', () => {
    const table = newTable();
    const results = table.apply([entry(1), entry(5), entry(6, put('a', '1'))]);
    expect(results.map((result) => result.revision)).toEqual([0, 0, 6]);
    expect(table.state).toMatchObject({ appliedIndex: 6, revision: 6 });
  });

  it('entries applied before are skipped, in the middle of a call too, and results stay aligned', () => {
    const engine = openMemoryEngine();
    run(newTable(engine), put('a', '1'), put('a', '2'));
    const again = newTable(engine).apply(
      entries([put('a', '1'), put('a', '2'), put('a', '3', { prevKvs: true })]),
    );
    expect(again.map((result) => result.skipped)).toEqual([true, true, false]);
    expect(again[2]?.responses.map(shownResponse)).toEqual([{ put: ['a=2'] }]);
  });

  it('more entries than fit one engine batch are all applied', () => {
    const table = newTable();
    const many = Array.from({ length: 1000 }, (_, at) => put(`k${at % 300}`, String(at)));
    const results = run(table, ...many);
    expect(results).toHaveLength(1000);
    expect(table.stats()).toMatchObject({ appliedIndex: 1000, keys: 300, historyRows: 700 });
    expect(
      run(table, put('big', 'x'.repeat(5 << 20)), put('big', 'y'.repeat(5 << 20))),
    ).toHaveLength(2);
  });

  it('bytes that are no command, B20 lengths included, stop the table before anything is written', () => {
    const engine = openMemoryEngine();
    const table = newTable(engine);
    const huge = Buffer.from('1affffffff7f', 'hex');
    const cut = Buffer.from(entry(1, put('a', 'value')).data).subarray(0, -2);
    const noPair = Buffer.from([0x10, 0x00]);
    const noTxn = Buffer.from([0x10, 0x05]);
    for (const data of [huge, cut, noPair, noTxn, Buffer.from('ff', 'hex')]) {
      const before = everyRow(engine);
      const log = [entry(1, put('ok', '1')), { index: 2, data }];
      expect(codeOf(() => table.apply(log))).toBe('TABLE_COMMAND_MALFORMED');
      expect(everyRow(engine)).toEqual(before);
      expect(table.state.appliedIndex).toBe(0);
    }
  });

  it('a command type nobody knows stops the table', () => {
    const strange = { ...put('a', '1'), type: 42 as mvccV1.Command_CommandType };
    expect(codeOf(() => run(newTable(), strange))).toBe('TABLE_COMMAND_UNKNOWN');
  });

  it('entries out of the order of the log stop the table', () => {
    const log = [entry(2, put('a', '1')), entry(1, put('a', '2'))];
    expect(codeOf(() => newTable().apply(log))).toBe('TABLE_ENTRY_ORDER');
  });

  it('the quick reader of puts and the generated decoder agree on any field order', () => {
    const kv = mvccV1.KeyValue.encode({ ...pairOf('k', 'v'), createRevision: 4n }).finish();
    const reversed = Buffer.concat([
      Buffer.from([0x48, 0x01, 0x28, 0xac, 0x02, 0x1a, kv.length]),
      kv,
      Buffer.from([0x10, 0x00, 0x0a, 0x01, 0x74]),
    ]);
    const plain = entry(1, put('k', 'v', { prevKvs: true, leaderIndex: 300n })).data;
    for (const data of [reversed, plain]) {
      const table = newTable();
      expect(table.apply([{ index: 1, data }])[0]?.revision).toBe(300);
      expect(rows(table)).toEqual(['k=v@300/300/1']);
    }
  });

  it('buffers of entries may be overwritten once apply has returned', () => {
    const table = newTable();
    const log = entries([
      put('k', 'value'),
      put('k', 'newer', { prevKvs: true }),
      put('l', 'other'),
      del('l', undefined, { prevKvs: true }),
      txn({ success: [rangeOf('k')] }),
      txn({ success: [opRange('a', 'z'), opRange('a', 'z', { keysOnly: true })] }),
    ]);
    const results = table.apply(log);
    for (const { data } of log) data.fill(0);
    expect(results.flatMap((result) => result.responses.map(shownResponse))).toEqual([
      { put: [] },
      { put: ['k=value'] },
      { put: [] },
      { deleted: 1, prev: ['l=other'] },
      { kvs: ['k=newer'], more: false, count: 1 },
      { kvs: ['k=newer'], more: false, count: 1 },
      { kvs: ['k='], more: false, count: 1 },
    ]);
    expect(rows(table)).toEqual(['k=newer@1/2/2']);
    expect(rows(table, 1)).toEqual(['k=value@1/1/1']);
    expect(rows(table, 3)).toEqual(['k=newer@1/2/2', 'l=other@3/3/1']);
  });
});

const pairOf = (key: string, value: string): mvccV1.KeyValue => ({
  key: bytes(key),
  value: bytes(value),
  createRevision: 0n,
  modRevision: 0n,
});

const rangeOf = (key: string): mvccV1.RequestOp => ({
  request: {
    $case: 'requestRange',
    value: { key: bytes(key), rangeEnd: bytes(''), limit: 0n, keysOnly: false, countOnly: false },
  },
});

describe('revisions and compaction', () => {
  it('reads below the compacted revision and above the newest are refused by code', () => {
    const table = newTable();
    for (const value of ['1', '2', '3']) run(table, put('a', value));
    expect(codeOf(() => table.get(bytes('a'), { revision: 4 }))).toBe('TABLE_FUTURE_REVISION');
    expect(codeOf(() => table.compact(4))).toBe('TABLE_FUTURE_REVISION');
    expect(table.compact(2, { rowsMax: 1 }).done).toBe(false);
    const query = { key: bytes('a'), rangeEnd: FROM_KEY };
    expect(codeOf(() => table.range({ ...query, revision: 1 }))).toBe('TABLE_COMPACTED');
    expect(codeOf(() => table.iterate({ ...query, revision: 1 }))).toBe('TABLE_COMPACTED');
    expect(shown(table.get(bytes('a'), { revision: 2 }))).toBe('a=2');
  });

  it('an interrupted compaction is finished by another object, and repeating it is harmless', () => {
    const engine = openMemoryEngine();
    const first = newTable(engine);
    for (let at = 0; at < 50; at++) run(first, put('a', String(at)));
    expect(first.stats().historyRows).toBe(49);
    expect(first.compact(50, { rowsMax: 7 }).done).toBe(false);
    const second = newTable(engine);
    expect(second.state.compactedRevision).toBe(50);
    expect(second.stats().historyRows).toBe(43);
    while (!second.compact(50, { rowsMax: 7 }).done);
    expect(second.compact(20)).toEqual({ done: true, removed: 0 });
    expect(second.state.compactedRevision).toBe(50);
    expect(everyRow(engine)).toHaveLength(4);
  });

  it('changes of one batch lie in one row, and go once all of its revisions are given up', () => {
    const engine = openMemoryEngine();
    const table = newTable(engine);
    run(table, put('a', '1'), put('a', '2'), put('a', '3'));
    expect(everyRow(engine)).toHaveLength(2 * 3);
    expect(table.compact(2)).toEqual({ done: true, removed: 0 });
    expect(table.stats().historyRows).toBe(2);
    expect(shown(table.get(bytes('a'), { revision: 2 }))).toBe('a=2');
    expect(table.compact(3)).toEqual({ done: true, removed: 1 });
    expect(table.stats().historyRows).toBe(0);
    expect(everyRow(engine)).toHaveLength(2 * 2);
  });

  it('a write of many keys is listed in several change rows, all of them compacted', () => {
    const engine = openMemoryEngine();
    const table = newTable(engine);
    const pairs = Array.from({ length: 3000 }, (_, at): [string, string] => [
      `${'k'.repeat(60)}${at}`,
      '1',
    ]);
    run(table, putBatch(pairs), del('\0', '\0'));
    const area = { gte: Buffer.from([0, 0, 0, 1, 2]), lt: Buffer.from([0, 0, 0, 1, 3]) };
    const changeRows = readRange(engine, { ...area, content: 'values' }, 100);
    expect(changeRows.length).toBeGreaterThan(4);
    for (const row of changeRows) expect(row.length).toBeLessThanOrEqual(CHANGE_ROW_BYTES_MAX);
    expect(table.range({ key: bytes('k'), rangeEnd: FROM_KEY, revision: 1 }).count).toBe(3000);
    while (!table.compact(2).done);
    expect(everyRow(engine)).toHaveLength(2);
  });

  it('a hash covers every pair and number at a revision, and is the same on another replica', () => {
    const logged = [put('a', '1'), put('b', '2'), put('a', '3'), del('b')];
    const hashAt = (table: TableStateMachine, revision?: number): string => {
      const parts: string[] = [];
      table.hash({ update: (data) => parts.push(Buffer.from(data).toString('hex')) }, { revision });
      return parts.join('.');
    };
    const one = newTable();
    const other = newTable(openMemoryEngine(), 99);
    run(one, ...logged);
    for (const command of logged) run(other, command);
    const hashes = [1, 2, 3, 4].map((revision) => hashAt(one, revision));
    expect(new Set(hashes).size).toBe(4);
    expect([1, 2, 3, 4].map((revision) => hashAt(other, revision))).toEqual(hashes);
    expect(hashAt(one)).toBe(hashes[3]);
  });
});

describe('tables on one engine', () => {
  it('do not see each other, and destroying one removes its rows alone', () => {
    const engine = openMemoryEngine();
    const tables = [1, 2, 258].map((tableId) => newTable(engine, tableId));
    for (const [at, table] of tables.entries()) run(table, put('a', String(at)), put('a', 'x'));
    tables[1]?.destroy();
    tables[1]?.destroy();
    expect(codeOf(() => tables[1]?.get(bytes('a')))).toBe('TABLE_CLOSED');
    expect(codeOf(() => tables[1]?.apply([]))).toBe('TABLE_CLOSED');
    expect(rows(newTable(engine, 2))).toEqual([]);
    expect(newTable(engine, 2).state.appliedIndex).toBe(0);
    for (const tableId of [1, 258])
      expect(rows(newTable(engine, tableId), 2)).toEqual(['a=x@1/2/2']);
    expect(everyRow(engine)).toHaveLength(2 * 2 * 3);
  });

  it('an id that does not fit its prefix is refused', () => {
    for (const tableId of [-1, 2 ** 32, 1.5, Number.NaN]) {
      expect(() => newTable(openMemoryEngine(), tableId)).toThrow(RangeError);
    }
  });

  it('a damaged row is refused by code', () => {
    const engine = openMemoryEngine();
    const table = newTable(engine);
    run(table, put('a', '1'));
    const liveKey = Buffer.from([0, 0, 0, 1, 1, 0x61]);
    for (const damage of ['', '01', '02', '03', '0201010100010f61']) {
      engine.batch().put(liveKey, Buffer.from(damage, 'hex')).write();
      expect(codeOf(() => table.get(bytes('a')))).toBe('TABLE_ROW_CORRUPT');
    }
    engine
      .batch()
      .put(Buffer.from([0, 0, 0, 1, 0]), Buffer.from([2, 2]))
      .write();
    expect(codeOf(() => newTable(engine))).toBe('TABLE_ROW_CORRUPT');
  });

  it('a table stored in the format before this one is refused by name', () => {
    const engine = openMemoryEngine();
    engine
      .batch()
      .put(Buffer.from([0, 0, 0, 1, 0]), Buffer.alloc(1 + 10 * 8, 1))
      .write();
    expect(codeOf(() => newTable(engine))).toBe('TABLE_FORMAT_OLD');
    expect(() => newTable(engine)).toThrow(/stored in format 1; this version reads format 2 alone/);
  });
});
