/**
 * Tables that are filled with rows as they are, and tables that go over to revisions of their own.
 */
import { type mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { RangeCache } from '../cache/range-cache.js';
import { VersionCache } from '../cache/version-cache.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { type Engine } from '../engine/engine.js';
import {
  adopt,
  bytes,
  del,
  entries,
  fill,
  FROM_KEY,
  put,
  sequence,
  shownFully,
} from '../testing/commands.js';
import { openStage } from './table-stage.js';
import { TableStateMachine } from './table-state-machine.js';
import { type ApplyResult, type TableRow } from './table-types.js';

const TABLE_ID = 1;

const openTable = (engine: Engine = openMemoryEngine()): TableStateMachine =>
  new TableStateMachine({ engine, tableId: TABLE_ID });

const row = (key: string, value: string, created: number, changed: number, version: number) => ({
  ...{ key: bytes(key), value: bytes(value), createRevision: created, modRevision: changed },
  ...{ version, lease: 0 },
});

function run(table: TableStateMachine, command: mvccV1.Command): ApplyResult {
  const [result] = table.apply(entries([command], table.state.appliedIndex));
  if (!result) throw new Error('an entry without a result');
  return result;
}

const rows = (table: TableStateMachine): TableRow[] =>
  table.range({ key: bytes(''), rangeEnd: FROM_KEY }).kvs;
const shown = (table: TableStateMachine): string[] => rows(table).map(shownFully);

function copied(table: TableStateMachine): TableStateMachine {
  const engine = openMemoryEngine();
  const stage = openStage({ engine, tableId: TABLE_ID });
  const view = table.openSnapshot();
  for (let chunk = view.next(); chunk; chunk = view.next()) stage.write(chunk.data);
  view.close();
  stage.finish(bytes('note'));
  const copy = openTable(engine);
  copy.installStaged();
  return copy;
}

const A = row('a', '1', 3, 30, 4);
const B = row('b', '2', 20, 20, 1);

describe('a table that is filled', () => {
  it('leaves the version cache to what is read and written', () => {
    const cache = new VersionCache();
    const table = new TableStateMachine({ engine: openMemoryEngine(), tableId: TABLE_ID, cache });
    run(table, fill(1, 1, [A, B]));
    expect(cache.stats().entries).toBe(0);
    run(table, adopt(1, 40));
    expect(table.get(bytes('a'))).toMatchObject({ version: 4 });
    expect(cache.stats().entries).toBe(1);
    run(table, put('b', 'written'));
    expect(cache.stats().entries).toBe(2);
  });

  it('forgets what was known of keys and ranges before rows came to be there', () => {
    const [cache, rangeCache] = [new VersionCache(), new RangeCache()];
    const engine = openMemoryEngine();
    const table = new TableStateMachine({ engine, tableId: TABLE_ID, cache, rangeCache });
    const counted = () => {
      const pages = table.iteratePacked({ key: bytes('\0'), rangeEnd: FROM_KEY });
      const slice = pages.slice(() => true);
      pages.close();
      return slice?.count;
    };
    run(table, fill(1, 1, [A]));
    expect([counted(), table.get(bytes('b'))]).toEqual([1, undefined]);
    run(table, fill(1, 2, [B]));
    expect([counted(), table.get(bytes('b'))?.modRevision]).toEqual([2, 20]);
  });

  it('holds the same whether its batches are applied together or one by one', () => {
    const first = [A, row('c', '3', 5, 5, 1)];
    const commands = [
      fill(1, 1, first),
      fill(1, 2, [row('d', '4', 6, 6, 1), row('e', '5', 7, 40, 3)]),
      fill(1, 3, [row('e', 'new', 7, 41, 4), B, row('f', '6', 9, 9, 1)], 'note'),
      fill(1, 4, [row('g', '7', 10, 10, 1)]),
      fill(1, 5, [row('i', '9', 12, 12, 1), row('h', '8', 11, 11, 1), row('i', 'x', 12, 13, 2)]),
    ];
    const [together, apart] = [openTable(), openTable()];
    const results = together.apply(entries(commands, 0));
    expect(results.map(({ skipped }) => skipped)).toEqual(commands.map(() => false));
    for (const command of commands) run(apart, command);
    expect(shown(together)).toEqual([
      ...['a=1@3/30/4', 'b=2@20/20/1', 'c=3@5/5/1', 'd=4@6/6/1', 'e=new@7/41/4', 'f=6@9/9/1'],
      ...['g=7@10/10/1', 'h=8@11/11/1', 'i=x@12/13/2'],
    ]);
    expect(shown(apart)).toEqual(shown(together));
    expect(apart.state).toEqual(together.state);
    expect(together.state).toMatchObject({ keys: 9, liveBytes: 20, revision: 41 });
  });

  it('is asked for the keys of a batch only where some of them may be there', () => {
    const engine = openMemoryEngine();
    let asked = 0;
    const getMany = engine.getMany.bind(engine);
    engine.getMany = (keys) => {
      asked += keys.length;
      return getMany(keys);
    };
    const table = openTable(engine);
    run(table, fill(1, 1, [A, row('c', '3', 5, 5, 1)]));
    run(table, fill(1, 2, [row('d', '4', 6, 6, 1), row('e', '5', 7, 7, 1)]));
    expect(asked).toBe(0);
    // One lies before the last row that is there, one is there already, one lies behind.
    run(table, fill(1, 3, [B, row('e', 'new', 7, 8, 2), row('f', '6', 9, 9, 1)]));
    expect(asked).toBe(3);
    expect(table.state).toMatchObject({ keys: 6, liveBytes: 14 });
    run(table, fill(1, 4, [row('f', 'newer', 9, 10, 2)]));
    expect(table.state).toMatchObject({ keys: 6, liveBytes: 18 });
  });

  it('takes rows as they are: their revisions and versions are kept', () => {
    const table = openTable();
    expect(run(table, fill(1, 1, [A, B]))).toMatchObject({ skipped: false });
    expect(shown(table)).toEqual(['a=1@3/30/4', 'b=2@20/20/1']);
    expect(table.stats()).toMatchObject({ keys: 2, liveBytes: 4, historyRows: 0 });
  });

  it('writes each batch once, in their order, and keeps the note of the last one', () => {
    const table = openTable();
    run(table, fill(1, 1, [A], 'first'));
    expect(run(table, fill(1, 3, [B])).fillRefused).toBe('order');
    expect(run(table, fill(1, 1, [B], 'again'))).toMatchObject({ succeeded: true });
    expect(shown(table)).toEqual(['a=1@3/30/4']);
    expect(table.state.fill).toEqual({ token: 1, batches: 1, isOpen: true, note: bytes('first') });
    run(table, fill(1, 2, [B], 'second'));
    expect(table.state.fill).toMatchObject({ batches: 2, note: bytes('second') });
  });

  it('a claim under a younger token says how far it is, and shuts the older ones out', () => {
    const table = openTable();
    run(table, fill(1, 1, [A], 'first'));
    run(table, fill(3, 0));
    expect(table.state.fill).toMatchObject({ token: 3, batches: 1, note: bytes('first') });
    expect(run(table, fill(2, 2, [B])).fillRefused).toBe('token');
    expect(run(table, adopt(2, 50)).fillRefused).toBe('token');
    expect(shown(table)).toEqual(['a=1@3/30/4']);
    expect(run(table, fill(3, 2, [B])).fillRefused).toBeUndefined();
  });

  it('a row that comes again in a later batch takes the place of the first, and leaves no trace', () => {
    const table = openTable();
    run(table, fill(1, 1, [A]));
    run(table, fill(1, 2, [row('a', 'longer', 3, 31, 5)]));
    expect(shown(table)).toEqual(['a=longer@3/31/5']);
    expect(table.stats()).toMatchObject({ keys: 1, liveBytes: 7, historyRows: 0 });
  });

  it('is what it was after a restart, and on a replica that got it as a snapshot in the middle', () => {
    const engine = openMemoryEngine();
    const table = openTable(engine);
    run(table, fill(4, 1, [A], 'so far'));
    expect(openTable(engine).state).toEqual(table.state);
    const copy = copied(table);
    expect(copy.state).toEqual(table.state);
    for (const each of [table, copy]) {
      expect(run(each, fill(3, 2, [B])).fillRefused).toBe('token');
    }
    for (const each of [table, copy]) run(each, fill(4, 2, [B]));
    for (const each of [table, copy]) run(each, adopt(4, 90));
    expect(copied(copy).state).toEqual(table.state);
    expect(shown(copy)).toEqual(shown(table));
  });

  it('that was written to is never filled', () => {
    const table = openTable();
    run(table, put('k', 'v'));
    expect(run(table, fill(9, 1, [A])).fillRefused).toBe('closed');
    expect(run(table, adopt(9, 100)).fillRefused).toBe('closed');
    expect(shown(table)).toEqual(['k=v@1/1/1']);
  });
});

describe('a table of the cluster’s own that was filled', () => {
  it('goes on above the floor, and above all its rows, however small its log is', () => {
    const table = openTable();
    run(table, fill(1, 1, [A, B]));
    expect(run(table, adopt(1, 1000))).toMatchObject({ revision: 1000 });
    expect(table.state).toMatchObject({ appliedIndex: 2, revision: 1000, compactedRevision: 1000 });
    expect(run(table, put('a', 'new'))).toMatchObject({ revision: 1001 });
    expect(run(table, del('b'))).toMatchObject({ revision: 1002 });
    expect(shown(table)).toEqual(['a=new@3/1001/5']);
    expect(rows(openTable()).length).toBe(0);
    const low = openTable();
    run(low, fill(1, 1, [A]));
    expect(run(low, adopt(1, 5)).revision).toBe(30);
  });

  it('a floor below its log changes no revision', () => {
    const table = openTable();
    for (let at = 0; at < 40; at += 1) run(table, fill(1, 0));
    run(table, fill(1, 1, [A]));
    expect(run(table, adopt(1, 7)).revision).toBe(42);
    expect(run(table, put('k', 'v')).revision).toBe(43);
  });

  it('has history from there on alone', () => {
    const table = openTable();
    run(table, fill(1, 1, [A, B]));
    run(table, adopt(1, 1000));
    run(table, put('a', 'new'));
    expect(table.get(bytes('a'), { revision: 1000 })?.value).toEqual(bytes('1'));
    expect(() => table.get(bytes('a'), { revision: 999 })).toThrow('compacted');
    expect(table.compact(1001)).toMatchObject({ done: true });
  });

  it('takes no rows under the token of before; a younger one may go on until it is written to', () => {
    const table = openTable();
    run(table, fill(1, 1, [A], 'note'));
    run(table, adopt(1, 100));
    expect(run(table, fill(1, 2, [B])).fillRefused).toBe('closed');
    expect(table.state.fill).toMatchObject({ isOpen: false, note: bytes('') });
    run(table, fill(2, 0));
    run(table, fill(2, 2, [B]));
    expect(run(table, adopt(2, 50)).revision).toBe(104);
    run(table, put('c', '3'));
    expect(table.state.fill).toBeUndefined();
    expect(run(table, fill(3, 0)).fillRefused).toBe('closed');
    expect(run(table, adopt(3, 5000)).fillRefused).toBe('closed');
    expect(run(table, put('d', '4')).revision).toBe(table.state.revision);
    expect(shown(table)).toEqual(['a=1@3/30/4', 'b=2@20/20/1', 'c=3@105/105/1', 'd=4@108/108/1']);
  });
});

describe('a copy that was filled', () => {
  const batch = (epoch: number, token: number, at: number) =>
    sequence([put('c', 'x', { leaderIndex: BigInt(at) })], {
      fence: { epoch: BigInt(epoch), token: BigInt(token) },
    });

  it('goes on with the log of its source, behind the index that its rows reflect', () => {
    const table = openTable();
    run(table, fill(1, 1, [A, B]));
    expect(run(table, adopt(1, 29, 7)).fillRefused).toBe('revision');
    expect(run(table, adopt(1, 40, 7))).toMatchObject({ revision: 40 });
    expect(table.state).toMatchObject({ leaderIndex: 40, fence: { epoch: 7 }, revisionOffset: 0 });
    expect(run(table, batch(8, 1, 41)).refused).toBe('epoch');
    expect(run(table, batch(7, 1, 40)).skipped).toBe(true);
    expect(run(table, batch(7, 1, 41))).toMatchObject({ revision: 41, skipped: false });
    expect(shown(table)).toEqual(['a=1@3/30/4', 'b=2@20/20/1', 'c=x@41/41/1']);
  });

  it('adopted, has revisions of its own above those of its source, and takes nothing from it', () => {
    const engine = openMemoryEngine();
    const table = openTable(engine);
    run(table, batch(7, 3, 500));
    expect(run(table, adopt(undefined, 0))).toMatchObject({ revision: 500 });
    expect(run(table, batch(7, 99, 501)).refused).toBe('token');
    expect(run(table, put('d', '1'))).toMatchObject({ revision: 502 });
    expect(table.state).toMatchObject({ leaderIndex: 0, bornAtIndex: 2, appliedIndex: 4 });
    expect(openTable(engine).state).toEqual(table.state);
    expect(copied(table).state).toEqual(table.state);
    expect(run(table, adopt(undefined, 9000)).revision).toBe(9000);
    expect(run(table, put('d', '2')).revision).toBe(9001);
  });
});
