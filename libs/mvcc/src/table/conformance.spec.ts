/**
 * What clients of Regatta rely on, at the level of a table: the key-value part of the contract's
 * conformance list, on both adapters.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type mvccV1, regattaV1 } from '@flotilla/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openLmdbEngine } from '../engine/lmdb/lmdb-engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { openRocksEngine } from '../engine/rocksdb/rocksdb-engine.js';
import {
  bytes,
  compare,
  del,
  entries,
  FROM_KEY,
  opDelete,
  type OperatorName,
  opPut,
  opRange,
  put,
  putBatch,
  shown,
  shownResponse,
  txn,
} from '../testing/commands.js';
import { isReadOnlyTxn } from './command-apply.js';
import { toKeyValue } from './operations.js';
import { TableStateMachine } from './table-state-machine.js';
import {
  type ApplyResult,
  RANGE_PAGE_BYTES_MAX,
  type RangePage,
  type RangeQuery,
} from './table-types.js';

interface Opened {
  engine: Engine;
  cleanUp: () => Promise<void>;
}

const adapters: Record<string, () => Promise<Opened>> = {
  memory: async () => {
    const engine = openMemoryEngine();
    return { engine, cleanUp: () => engine.close() };
  },
  rocksdb: () =>
    onDisk((directory) => openRocksEngine({ directory, memtableBudgetBytes: 16 << 20 })),
  lmdb: () => onDisk((directory) => openLmdbEngine({ directory })),
};

async function onDisk(open: (directory: string) => Promise<Engine>): Promise<Opened> {
  const directory = await mkdtemp(join(tmpdir(), 'flotilla-conformance-'));
  const engine = await open(directory);
  const cleanUp = async (): Promise<void> => {
    await engine.close();
    await rm(directory, { recursive: true, force: true });
  };
  return { engine, cleanUp };
}

/** A table and short ways to use it. */
class Bench {
  readonly table: TableStateMachine;
  constructor(engine: Engine) {
    this.table = new TableStateMachine({ engine, tableId: 10_001 });
  }
  run(...commands: mvccV1.Command[]): ApplyResult[] {
    return this.table.apply(entries(commands, this.table.state.appliedIndex));
  }
  /** Responses of the last command. */
  answers(command: mvccV1.Command): unknown[] {
    return this.run(command)[0]?.responses.map(shownResponse) ?? [];
  }
  range(key: string, rangeEnd?: string, options: Partial<RangeQuery> = {}): RangePage {
    const end = rangeEnd === undefined ? undefined : bytes(rangeEnd);
    return this.table.range({ key: bytes(key), rangeEnd: end, ...options });
  }
  keys(key: string, rangeEnd?: string): string {
    return this.range(key, rangeEnd)
      .kvs.map((row) => row.key.toString('latin1'))
      .join(' ');
  }
}

/** Bytes of the message a page becomes. */
function responseBytes(page: RangePage): number {
  return regattaV1.RangeResponse.encode({
    header: {
      shardId: 2n ** 63n,
      replicaId: 2n ** 63n,
      revision: 2n ** 53n,
      raftTerm: 2n ** 63n,
      raftLeaderId: 2n ** 63n,
    },
    kvs: page.kvs.map(toKeyValue),
    more: page.more,
    count: BigInt(page.count),
  }).finish().length;
}

for (const [name, open] of Object.entries(adapters)) {
  describe(`conformance on ${name}`, () => {
    let opened: Opened;
    let bench: Bench;
    beforeEach(async () => {
      opened = await open();
      bench = new Bench(opened.engine);
    });
    afterEach(() => opened.cleanUp());

    const current = (): Bench => bench;
    rangeTests(current);
    pageTests(current);
    writeTests(current);
    txnTests(current);
    binaryTests(current);
  });
}

function rangeTests(bench: () => Bench): void {
  it('8: a missing key gives no pair, count 0 and no more', () => {
    expect(bench().range('missing')).toEqual({ kvs: [], more: false, count: 0 });
    expect(bench().range('a', 'z')).toEqual({ kvs: [], more: false, count: 0 });
    expect(bench().table.get(bytes('missing'))).toBeUndefined();
  });

  it('9: ranges are half open, a zero byte ends them nowhere, reversed ones are empty', () => {
    bench().run(putBatch(['a', 'b', 'c', 'd'].map((key) => [key, '1'])));
    expect(bench().keys('a', 'c')).toBe('a b');
    expect(bench().keys('b', '\0')).toBe('b c d');
    expect(bench().keys('\0', '\0')).toBe('a b c d');
    expect(bench().keys('c', 'a')).toBe('');
    expect(bench().keys('a', 'a')).toBe('');
    expect(bench().keys('a', '')).toBe('');
    expect(bench().keys('b')).toBe('b');
  });

  it('10 (B3): with limit n, more tells truly whether key n + 1 exists', () => {
    bench().run(putBatch(['a', 'b', 'c', 'd'].map((key) => [key, '1'])));
    const more = [4, 3, 2].map((limit) => bench().range('a', 'z', { limit }).more);
    expect(more).toEqual([false, true, true]);
    const counts = [4, 3, 2].map((limit) => bench().range('a', 'z', { limit }).count);
    expect(counts).toEqual([4, 3, 2]);
    const inTxn = bench().answers(txn({ success: [opRange('a', 'z', { limit: 3 })] }));
    expect(inTxn).toEqual([{ kvs: ['a=1', 'b=1', 'c=1'], more: true, count: 3 }]);
  });

  it('keys only gives keys without values; count only of a single key is 1', () => {
    bench().run(put('a', '1'), put('b', '2'));
    const page = bench().range('a', 'z', { keysOnly: true });
    expect(page.kvs.map(shown)).toEqual(['a=', 'b=']);
    expect(page.count).toBe(2);
    expect(bench().range('a', undefined, { keysOnly: true }).kvs.map(shown)).toEqual(['a=']);
    expect(bench().range('a', undefined, { countOnly: true }).count).toBe(1);
  });
}

function pageTests(bench: () => Bench): void {
  const fill = (count: number, valueBytes: number): string[] => {
    const names = Array.from({ length: count }, (_, at) => `key${String(at).padStart(4, '0')}`);
    for (const key of names) bench().run(put(key, 'x'.repeat(valueBytes)));
    return names;
  };

  it('11: count only over more than 4 MiB counts all of it, or up to the limit', () => {
    fill(60, 100_000);
    const all = bench().range('\0', '\0', { countOnly: true });
    expect(all).toEqual({ kvs: [], more: false, count: 60 });
    expect(bench().range('\0', '\0', { countOnly: true, limit: 7 }).count).toBe(7);
  });

  it('12: pages stay below 4 MiB less 1 KiB, and going on gives every row once', () => {
    const names = fill(60, 150_000);
    const seen: string[] = [];
    for (let from = '\0', pages = 1; ; pages += 1) {
      const page = bench().range(from, '\0');
      expect(responseBytes(page)).toBeLessThan(RANGE_PAGE_BYTES_MAX);
      seen.push(...page.kvs.map((row) => row.key.toString()));
      if (!page.more) break;
      expect(responseBytes(page)).toBeGreaterThan(RANGE_PAGE_BYTES_MAX - 151_000);
      from = `${seen.at(-1) ?? ''}\0`;
      expect(pages).toBeLessThan(10);
    }
    expect(seen).toEqual(names);
  });

  it('12: many small rows fill a page to just below its bound', () => {
    const rows = Array.from({ length: 60_000 }, (_, at): [string, string] => [
      `key${String(at).padStart(6, '0')}`,
      'x'.repeat(80),
    ]);
    bench().run(putBatch(rows));
    const page = bench().range('\0', '\0');
    expect(page.more).toBe(true);
    expect(responseBytes(page)).toBeLessThan(RANGE_PAGE_BYTES_MAX);
    expect(responseBytes(page)).toBeGreaterThan(RANGE_PAGE_BYTES_MAX - 300);
  });

  it('13: iterating gives all rows as they were at its start, more on all pages but the last', () => {
    const names = fill(60, 150_000);
    const iterator = bench().table.iterate({ key: bytes('\0'), rangeEnd: FROM_KEY });
    const seen: string[] = [];
    const more: boolean[] = [];
    for (let page = iterator.next(); page !== undefined; page = iterator.next()) {
      seen.push(...page.kvs.map((row) => row.key.toString()));
      more.push(page.more);
      bench().run(put('key0059', 'new'), put('zzz', 'new'), del('key0030'), put('a', 'new'));
    }
    expect(seen).toEqual(names);
    expect(more).toEqual([true, true, false]);
    iterator.close();
  });

  it('13: without a range end, or with an empty range, there is exactly one page', () => {
    bench().run(put('a', '1'));
    for (const [rangeEnd, count] of [
      [undefined, 1],
      [bytes('a'), 0],
    ] as const) {
      const iterator = bench().table.iterate({ key: bytes('a'), rangeEnd });
      expect(iterator.next()).toMatchObject({ more: false, count });
      expect(iterator.next()).toBeUndefined();
      iterator.close();
    }
  });

  it('B17: a row larger than a page is given alone, so a range always gets on', () => {
    bench().run(put('a', '1'), put('big', 'x'.repeat(RANGE_PAGE_BYTES_MAX + 1)), put('c', '3'));
    const keysPerPage: string[][] = [];
    const iterator = bench().table.iterate({ key: bytes('\0'), rangeEnd: FROM_KEY });
    for (let page = iterator.next(); page !== undefined; page = iterator.next()) {
      keysPerPage.push(page.kvs.map((row) => row.key.toString()));
    }
    expect(keysPerPage).toEqual([['a'], ['big'], ['c']]);
    expect(bench().range('big', '\0').more).toBe(true);
  });
}

function writeTests(bench: () => Bench): void {
  it('14: prev_kv is absent first and present second; revisions grow', () => {
    const [first, second] = bench().run(
      put('a', '1', { prevKvs: true }),
      put('a', '2', { prevKvs: true }),
    );
    expect(first?.responses.map(shownResponse)).toEqual([{ put: [] }]);
    expect(second?.responses.map(shownResponse)).toEqual([{ put: ['a=1'] }]);
    expect(second?.revision).toBeGreaterThan(first?.revision ?? Infinity);
  });

  it('14: create revision, mod revision and version follow a key, and start again after a delete', () => {
    bench().run(
      put('a', '1'),
      put('a', '2'),
      put('b', '1'),
      del('a'),
      put('a', '3'),
      put('a', '4'),
    );
    const row = (at: number): unknown => bench().table.get(bytes('a'), { revision: at });
    expect(row(2)).toMatchObject({ createRevision: 1, modRevision: 2, version: 2 });
    expect(row(4)).toBeUndefined();
    expect(row(5)).toMatchObject({ createRevision: 5, modRevision: 5, version: 1 });
    expect(row(6)).toMatchObject({ createRevision: 5, modRevision: 6, version: 2, lease: 0 });
  });

  it('15: deleted is filled with count or prev_kv only, and 0 for what does not exist', () => {
    const fill = putBatch(['a', 'b', 'c'].map((key) => [key, key]));
    const cases: [mvccV1.Command, unknown][] = [
      [del('a', 'c'), { deleted: 0, prev: [] }],
      [del('a', 'c', { count: true }), { deleted: 2, prev: [] }],
      [del('a', 'c', { prevKvs: true }), { deleted: 2, prev: ['a=a', 'b=b'] }],
      [del('a', undefined, { prevKvs: true, count: true }), { deleted: 1, prev: ['a=a'] }],
      [del('x', undefined, { count: true }), { deleted: 0, prev: [] }],
      [del('b', '\0', { count: true }), { deleted: 2, prev: [] }],
      [del('a', '', { count: true }), { deleted: 0, prev: [] }],
    ];
    for (const [command, expected] of cases) {
      bench().run(fill);
      expect(bench().answers(command)).toEqual([expected]);
    }
  });

  it('B19: deleting more than a page with prev_kv counts and returns all of it', () => {
    for (let at = 0; at < 60; at += 1) bench().run(put(`k${100 + at}`, 'x'.repeat(100_000)));
    const [result] = bench().run(del('\0', '\0', { prevKvs: true }));
    const response = result?.responses[0]?.response;
    const given = response?.$case === 'responseDeleteRange' ? response.value : undefined;
    expect(given?.deleted).toBe(60n);
    expect(given?.prevKvs).toHaveLength(60);
    expect(bench().table.stats().keys).toBe(0);
  });
}

const NO_VALUE = undefined;

function txnTests(bench: () => Bench): void {
  const holds = (...compares: mvccV1.Compare[]): boolean | undefined => {
    const asked = txn({ compare: compares });
    const inLog = bench().run(asked)[0]?.succeeded;
    const read = bench().table.evaluateReadOnlyTxn(
      asked.txn ?? { compare: [], success: [], failure: [] },
    );
    expect(read.succeeded).toBe(inLog);
    return inLog;
  };

  it('16: an empty compare succeeds; each operator holds as it says on a present key', () => {
    bench().run(put('k', 'm'));
    expect(holds()).toBe(true);
    const table: [OperatorName, string, boolean][] = [
      ['EQUAL', 'm', true],
      ['EQUAL', 'n', false],
      ['NOT_EQUAL', 'n', true],
      ['NOT_EQUAL', 'm', false],
      ['GREATER', 'l', true],
      ['GREATER', 'm', false],
      ['LESS', 'n', true],
      ['LESS', 'm', false],
    ];
    for (const [operator, value, expected] of table) {
      expect([operator, value, holds(compare('k', operator, value))]).toEqual([
        operator,
        value,
        expected,
      ]);
    }
    expect(holds(compare('k', 'EQUAL', 'm'), compare('k', 'EQUAL', 'n'))).toBe(false);
  });

  it('16: a missing key fails every operator; without a value the question is existence', () => {
    bench().run(put('k', ''));
    for (const operator of ['EQUAL', 'NOT_EQUAL', 'GREATER', 'LESS'] as const) {
      expect(holds(compare('missing', operator, 'x'))).toBe(false);
      expect(holds(compare('missing', operator, NO_VALUE))).toBe(false);
      expect(holds(compare('k', operator, NO_VALUE))).toBe(true);
    }
    expect(holds(compare('k', 'EQUAL', ''))).toBe(true);
  });

  it('16 (B23): a range compare needs all live keys, whatever older versions were; empty fails', () => {
    bench().run(put('a', 'old'), put('a', 'v'), put('b', 'v'), put('c', 'w'), del('c'));
    expect(holds(compare('a', 'EQUAL', 'v', 'd'))).toBe(true);
    expect(holds(compare('a', 'EQUAL', 'v', '\0'))).toBe(true);
    expect(holds(compare('c', 'EQUAL', NO_VALUE, 'd'))).toBe(false);
    expect(holds(compare('x', 'NOT_EQUAL', 'v', 'z'))).toBe(false);
    bench().run(put('b', 'x'));
    expect(holds(compare('a', 'EQUAL', 'v', 'd'))).toBe(false);
  });

  it('16: an operator or target nobody knows holds for nothing and breaks nothing', () => {
    bench().run(put('k', 'm'));
    const known = compare('k', 'EQUAL', 'm');
    const strangeOperator = { ...known, result: 9 as mvccV1.Compare_CompareResult };
    const strangeTarget = { ...known, target: 2 as mvccV1.Compare_CompareTarget };
    expect(holds(strangeOperator)).toBe(false);
    expect(holds(strangeTarget)).toBe(false);
  });

  it('17: operations see earlier ones, put-delete-put included, and answers are aligned', () => {
    bench().run(put('k', '0'));
    const answers = bench().answers(
      txn({
        success: [
          opPut('k', '1', true),
          opRange('k'),
          opDelete('k', '', { prevKv: true }),
          opRange('a', '\0', { countOnly: true }),
          opPut('k', '2', true),
          opPut('j', '3'),
          opRange('a', '\0'),
          opDelete('j', 'l', { count: true }),
          opPut('k', '4'),
        ],
      }),
    );
    expect(answers).toEqual([
      { put: ['k=0'] },
      { kvs: ['k=1'], more: false, count: 1 },
      { deleted: 1, prev: ['k=1'] },
      { kvs: [], more: false, count: 0 },
      { put: [] },
      { put: [] },
      { kvs: ['j=3', 'k=2'], more: false, count: 2 },
      { deleted: 2, prev: [] },
      { put: [] },
    ]);
    expect(bench().range('\0', '\0').kvs.map(shown)).toEqual(['k=4']);
    const revision = bench().table.state.revision;
    expect(bench().table.get(bytes('k'))).toMatchObject({ createRevision: revision, version: 1 });
    expect(shown(bench().table.get(bytes('k'), { revision: revision - 1 }))).toBe('k=0');
  });

  it('several puts of a key in one Txn: the newest wins, each counts as a version', () => {
    bench().run(
      txn({ success: [opPut('k', '1'), opPut('k', '2'), opPut('k', '3')] }),
      put('k', '4'),
    );
    expect(bench().table.get(bytes('k'), { revision: 1 })).toMatchObject({ version: 3 });
    expect(shown(bench().table.get(bytes('k'), { revision: 1 }))).toBe('k=3');
    expect(bench().table.get(bytes('k'))).toMatchObject({ version: 4, createRevision: 1 });
    expect(bench().table.stats().historyRows).toBe(1);
  });

  it('17 (B18): an operation without a request still has its place, and the revision is there', () => {
    const [result] = bench()
      .run(
        txn({ success: [opPut('a', '1'), { request: undefined }, opRange('a')] }),
        txn({ compare: [compare('missing')], success: [opPut('b', '1')] }),
      )
      .slice(0, 1);
    expect(result?.responses.map(shownResponse)).toEqual([
      { put: [] },
      'none',
      { kvs: ['a=1'], more: false, count: 1 },
    ]);
    const [empty] = bench().run(txn({ compare: [compare('missing')] }));
    expect(empty).toEqual({ revision: 3, succeeded: false, responses: [], skipped: false });
  });

  it('18: a read-only Txn is told apart and changes nothing, its revision included', () => {
    bench().run(put('a', '1'));
    const reading = { compare: [compare('a')], success: [opRange('a')], failure: [] };
    expect(isReadOnlyTxn(reading)).toBe(true);
    expect(isReadOnlyTxn({ compare: [], success: [], failure: [] })).toBe(true);
    expect(isReadOnlyTxn({ ...reading, failure: [opPut('a', '2')] })).toBe(false);
    expect(isReadOnlyTxn({ ...reading, success: [opRange('a'), opDelete('a')] })).toBe(false);
    const before = bench().table.stats();
    const result = bench().table.evaluateReadOnlyTxn(reading);
    expect(result.responses.map(shownResponse)).toEqual([{ kvs: ['a=1'], more: false, count: 1 }]);
    expect(bench().table.stats()).toEqual(before);
  });

  it('conditions on numbers: an absent key counts as 0, so version 0 means it does not exist', () => {
    bench().run(put('a', '1'), put('a', '2'), put('b', '1'));
    const matches = (
      key: string,
      target: 'version' | 'createRevision' | 'modRevision',
      operator: 'equal' | 'greater' | 'less' | 'notEqual',
      number: number,
      rangeEnd?: string,
    ): boolean =>
      bench().table.matches([
        {
          key: bytes(key),
          rangeEnd: rangeEnd === undefined ? undefined : bytes(rangeEnd),
          test: { target, operator, number },
        },
      ]);
    expect(matches('a', 'version', 'equal', 2)).toBe(true);
    expect(matches('a', 'createRevision', 'equal', 1)).toBe(true);
    expect(matches('a', 'modRevision', 'greater', 1)).toBe(true);
    expect(matches('a', 'modRevision', 'less', 2)).toBe(false);
    expect(matches('missing', 'version', 'equal', 0)).toBe(true);
    expect(matches('a', 'version', 'equal', 0)).toBe(false);
    expect(matches('a', 'modRevision', 'less', 4, 'z')).toBe(true);
    expect(matches('a', 'modRevision', 'less', 3, 'z')).toBe(false);
  });
}

function binaryTests(bench: () => Bench): void {
  it('19 (B21, B22): every byte in keys and values, the value 00 and zero bytes in keys', () => {
    const all = Array.from({ length: 256 }, (_, at) => String.fromCharCode(at));
    const pairs: [string, string][] = [...all, all.join(''), 'a', 'a\0', 'a\0b', 'a\0\0']
      .sort()
      .map((key) => [key, key === 'a' ? '\0' : `\0${key}`]);
    const distinct = [...new Map(pairs).entries()].sort(([one], [two]) => (one < two ? -1 : 1));
    bench().run(putBatch(pairs));
    const page = bench().range('\0', '\0');
    expect(page.kvs.map(shown)).toEqual(distinct.map(([key, value]) => `${key}=${value}`));
    for (const [key, value] of distinct)
      expect(shown(bench().range(key).kvs[0])).toBe(`${key}=${value}`);
    bench().run(putBatch(distinct.map(([key]) => [key, 'new'])));
    const old = bench().range('\0', '\0', { revision: 1 });
    expect(old.kvs.map(shown)).toEqual(distinct.map(([key, value]) => `${key}=${value}`));
  });

  it('B22: deleting and iterating everything with zero bytes as key and end works', () => {
    bench().run(
      putBatch([
        ['\0', '1'],
        ['a', '2'],
        ['\xff\xff', '3'],
      ]),
    );
    expect(bench().answers(del('\0', '\0', { count: true }))).toEqual([{ deleted: 3, prev: [] }]);
    expect(bench().range('\0', '\0').count).toBe(0);
  });
}
