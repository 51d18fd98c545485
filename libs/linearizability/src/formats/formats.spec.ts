/** The three formats: what their lines mean, and that no broken one is passed over. */
import { describe, expect, it } from 'vitest';
import { HistoryError } from '../checker/operation.js';
import {
  decodeHistory,
  encodeHistoryEntry,
  encodeHistoryHeader,
  historyKeyOf,
  type HistoryEntry,
} from './flotilla-history.js';
import { decodeJepsenLog } from './jepsen-log.js';
import { decodeKvLog } from './kv-log.js';

describe('logs of Jepsen', () => {
  const log = (...lines: string[]) =>
    decodeJepsenLog(lines.map((line) => `INFO  jepsen.util - ${line}\n`).join(''));

  it('are calls and ends of processes, at their places in the log', () => {
    expect(
      log(
        '0\t:invoke\t:write\t3',
        '1\t:invoke\t:read\tnil',
        '0\t:ok\t:write\t3',
        '1\t:ok\t:read\t3',
      ),
    ).toEqual([
      {
        client: 0,
        input: { kind: 'write', value: 3 },
        output: { kind: 'done' },
        call: 0,
        return: 2,
      },
      {
        client: 1,
        input: { kind: 'read' },
        output: { kind: 'read', value: 3 },
        call: 1,
        return: 3,
      },
    ]);
  });

  it('may be written with blanks instead of tabs', () => {
    const lines = ['7   :invoke :cas    [1 2]', '7   :ok     :cas    [1 2]'];
    expect(log(...lines)).toMatchObject([
      { client: 7, input: { kind: 'cas', expected: 1, value: 2 }, output: { kind: 'done' } },
    ]);
  });

  it('leave an operation open that timed out or has no end, but no read', () => {
    const open = log(
      '0\t:invoke\t:write\t3',
      '1\t:invoke\t:read\tnil',
      '2\t:invoke\t:cas\t[0 1]',
      '3\t:invoke\t:read\tnil',
      '0\t:info\t:write\t:timed-out',
      '1\t:info\t:read\t:timed-out',
      '3\t:fail\t:read\t:timed-out',
    );
    expect(open).toMatchObject([
      { client: 0, output: { kind: 'unknown' }, return: Infinity },
      { client: 2, output: { kind: 'unknown' }, return: Infinity },
    ]);
  });

  it('tell by a failed compare-and-set that the value was another one, else that nothing was done', () => {
    const failed = log(
      '0\t:invoke\t:cas\t[0 1]',
      '0\t:fail\t:cas\t[0 1]',
      '0\t:invoke\t:write\t1',
      '0\t:fail\t:write\t:connection-refused',
    );
    expect(failed).toMatchObject([{ input: { kind: 'cas' }, output: { kind: 'differed' } }]);
    expect(failed).toHaveLength(1);
  });

  it('hold lines of others, which are passed over', () => {
    expect(decodeJepsenLog('INFO  jepsen.core - Running\n')).toEqual([]);
    expect(log(':nemesis\t:info\t:start\tnil')).toEqual([]);
  });

  it.each([
    ['0\t:invoke\t:sort\t3', /line 1: not an operation/],
    ['0\t:invoke\t:write\tx', /line 1: not a value/],
    ['0\t:invoke\t:cas\t3', /line 1: not two values/],
    ['0\t:ok\t:write\t3', /line 1: process 0 ends a call it never made/],
    ['0\t:invoke\t:read\tnil\nINFO jepsen.util - 0 :invoke :read nil', /line 2: process 0 calls/],
  ])('are refused for %j', (line, message) => {
    expect(() => log(line)).toThrow(message);
  });
});

describe('logs of the store of texts', () => {
  const line = (type: string, f: string, value: string, process = 0) =>
    `{:process ${process}, :type :${type}, :f :${f}, :key "k", :value ${value}}\n`;

  it('are operations on texts with their key', () => {
    const log = line('invoke', 'append', '"a \\"b\\""') + line('ok', 'append', '"a \\"b\\""');
    expect(decodeKvLog(log + line('invoke', 'get', 'nil') + line('ok', 'get', '"x"'))).toEqual([
      {
        client: 0,
        input: { kind: 'append', key: 'k', value: 'a "b"' },
        output: undefined,
        call: 0,
        return: 1,
      },
      { client: 0, input: { kind: 'get', key: 'k' }, output: 'x', call: 2, return: 3 },
    ]);
  });

  it('drop what failed, and leave open what nobody knows', () => {
    const log = line('invoke', 'put', '"a"', 1) + line('fail', 'put', '"a"', 1);
    expect(decodeKvLog(log)).toEqual([]);
    const open = line('invoke', 'put', '"a"', 1) + line('info', 'put', '"a"', 1);
    expect(decodeKvLog(open)).toMatchObject([{ client: 1, return: Infinity }]);
    expect(decodeKvLog(line('invoke', 'put', '"a"', 1))).toMatchObject([{ return: Infinity }]);
  });

  it('are refused for a line that is none, and for an end at another key', () => {
    expect(() => decodeKvLog(`${line('invoke', 'get', 'nil')}{:process 0}`)).toThrow(
      /line 2: not an operation/,
    );
    const other = line('ok', 'get', '""').replace('"k"', '"l"');
    expect(() => decodeKvLog(line('invoke', 'get', 'nil') + other)).toThrow(/at "l"/);
  });
});

describe('histories of our own', () => {
  const entry = (fields: Partial<HistoryEntry> & Pick<HistoryEntry, 'kind'>): string =>
    encodeHistoryEntry({
      client: 3,
      table: 't',
      key: 'k',
      outcome: 'ok',
      call: 1.5,
      return: 2.25,
      ...fields,
    } as HistoryEntry);
  const decode = (...lines: string[]) => decodeHistory(encodeHistoryHeader() + lines.join(''));

  it('come back as they were written', () => {
    const { expected, operations } = decodeHistory(
      encodeHistoryHeader('not-linearizable') +
        entry({ kind: 'put', value: 'a', revision: 7 }) +
        entry({ kind: 'get', found: 'a', revision: 7 }) +
        entry({ kind: 'delete', found: 'a' }) +
        entry({ kind: 'txn-cas', expected: null, value: 'b', succeeded: true, revision: 9 }),
    );
    expect(expected).toBe('not-linearizable');
    const same = { client: 3, call: 1.5, return: 2.25 };
    const at = { table: 't', key: 'k' };
    expect(operations).toEqual([
      {
        ...same,
        input: { ...at, kind: 'put', value: 'a' },
        output: { outcome: 'ok', revision: 7 },
      },
      {
        ...same,
        input: { ...at, kind: 'get' },
        output: { outcome: 'ok', found: 'a', revision: 7 },
      },
      { ...same, input: { ...at, kind: 'delete' }, output: { outcome: 'ok', found: 'a' } },
      {
        ...same,
        input: { ...at, kind: 'txn-cas', expected: null, value: 'b' },
        output: { outcome: 'ok', revision: 9, succeeded: true },
      },
    ]);
  });

  it('leave out what failed and gets of unknown outcome, and keep other unknown ones open', () => {
    const { operations } = decode(
      entry({ kind: 'put', value: 'a', outcome: 'fail' }),
      entry({ kind: 'get', outcome: 'unknown', return: null }),
      entry({ kind: 'put', value: 'b', outcome: 'unknown', return: 9 }),
      entry({ kind: 'delete', outcome: 'unknown', return: null }),
    );
    expect(operations).toMatchObject([
      { input: { kind: 'put', value: 'b' }, output: { outcome: 'unknown' }, return: Infinity },
      { input: { kind: 'delete' }, output: { outcome: 'unknown' }, return: Infinity },
    ]);
    expect(operations).toHaveLength(2);
  });

  it('have keys that no other table or key has', () => {
    const { operations } = decode(
      entry({ kind: 'delete', table: 'a', key: 'b/c' }),
      entry({ kind: 'delete', table: 'a/b', key: 'c' }),
    );
    expect(new Set(operations.map(historyKeyOf)).size).toBe(2);
  });

  it.each([
    ['a put without a value', entry({ kind: 'put' } as never), /line 2: value: expected a text/],
    ['a get without an answer', entry({ kind: 'get' }), /found: expected a text, not nothing/],
    [
      'a revision of nothing',
      entry({ kind: 'get', found: null, revision: 3 }),
      /a revision of a pair that was not found/,
    ],
    [
      'a compare-and-set that does not say how it ended',
      entry({ kind: 'txn-cas', expected: 'a', value: 'b' }),
      /succeeded: expected true or false/,
    ],
    ['an answer at no time', entry({ kind: 'delete', return: null }), /no time of return/],
    ['an answer before the call', entry({ kind: 'delete', return: 1 }), /before it was called/],
    ['an unknown kind', entry({ kind: 'scan' } as never), /kind: expected get or put or delete/],
    ['half a line', '{"client":3,', /line 2: not JSON/],
    ['a list', 'null', /line 2: not an object/],
  ])('are refused for %s', (_, line, message) => {
    expect(() => decode(line)).toThrow(message);
  });

  it('are refused without a header, or with one of another format', () => {
    expect(() => decodeHistory('')).toThrow(HistoryError);
    expect(() => decodeHistory(entry({ kind: 'delete' }))).toThrow(/line 1: format: expected/);
    expect(() =>
      decodeHistory('{"format":"flotilla-history-2","expected":"linearizable"}'),
    ).toThrow(/line 1: format: expected flotilla-history-1/);
    expect(() => decodeHistory('{"format":"flotilla-history-1"}')).toThrow(/expected: expected/);
  });
});
