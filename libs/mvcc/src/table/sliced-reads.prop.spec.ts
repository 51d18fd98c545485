/**
 * Reads in pieces, with writes between the pieces, against the same reads in one go before those
 * writes: whatever they are cut into, they show one moment.
 */
import fc from 'fast-check';
import { mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import {
  bytes,
  del,
  entry,
  FROM_KEY,
  put,
  putBatch,
  shownFully,
  shownResponse,
} from '../testing/commands.js';
import { type RangeQuery, type TableRow } from './table-types.js';
import { TableStateMachine } from './table-state-machine.js';

const KEYS = 300;
const RUNS = 60;
const name = (at: number): string => `key/${String(at).padStart(3, '0')}`;

function newTable(): TableStateMachine {
  const table = new TableStateMachine({ engine: openMemoryEngine(), tableId: 10_001 });
  const pairs = Array.from({ length: KEYS }, (_, at): [string, string] => [name(at), 'v']);
  table.apply([entry(1, putBatch(pairs))]);
  return table;
}

function write(table: TableStateMachine, commands: readonly mvccV1.Command[]): void {
  for (const one of commands) table.apply([entry(table.state.appliedIndex + 1, one)]);
}

const at = fc.nat(KEYS - 1);
const command = fc.oneof(
  at.map((one) => put(name(one), 'written between')),
  at.map((one) => del(name(one))),
  fc.tuple(at, at).map(([from, end]) => del(name(from), name(end))),
);
/** What happens at each moment at which a read could be interrupted. */
const moments = fc.array(fc.array(command, { maxLength: 3 }), { maxLength: 8 });

const shown = (row: TableRow): string => `${shownFully(row)} ${row.modRevision}`;

describe('a read in pieces', () => {
  it('of a range gives the pages of the moment it began, whatever is written meanwhile', () => {
    const query = fc.record({
      limit: fc.nat(KEYS),
      keysOnly: fc.boolean(),
      countOnly: fc.boolean(),
      pageBytesMax: fc.constantFrom(200, 3_000, 4_000_000),
    });
    fc.assert(
      fc.property(query, at, moments, (options, from, writes) => {
        const table = newTable();
        const range: RangeQuery = { ...options, key: bytes(name(from)), rangeEnd: FROM_KEY };
        const expected = table.iterate(range);
        const pages = table.iterate(range);
        let pieces = 0;
        let moment = 0;
        const interrupted = () => {
          write(table, writes[moment++] ?? []);
          return false;
        };
        for (let page = expected.next(); page; page = expected.next()) {
          const kvs: TableRow[] = [];
          let slice = pages.slice(interrupted);
          for (; slice && !slice.isLast; slice = pages.slice(interrupted)) {
            kvs.push(...slice.kvs);
            pieces++;
          }
          kvs.push(...(slice?.kvs ?? []));
          const { more, count } = slice ?? { more: undefined, count: undefined };
          expect({ kvs: kvs.map(shown), more, count }).toEqual({
            ...page,
            kvs: page.kvs.map(shown),
          });
        }
        expect(pages.slice(interrupted)).toBeUndefined();
        const rows = KEYS - from;
        const isLong = options.limit === 0 && rows > 128 && options.pageBytesMax > 200;
        if (isLong) expect(pieces).toBeGreaterThan(0);
      }),
      { numRuns: RUNS },
    );
  });

  it('of a Txn gives the result of the moment it began, whatever is written meanwhile', () => {
    const range = fc.record({ from: at, end: at, countOnly: fc.boolean(), isPoint: fc.boolean() });
    const EXISTS: mvccV1.Compare = {
      result: mvccV1.Compare_CompareResult.EQUAL,
      target: mvccV1.Compare_CompareTarget.VALUE,
      key: bytes(name(0)),
      rangeEnd: FROM_KEY,
      targetUnion: { $case: 'value', value: bytes('v') },
    };
    fc.assert(
      fc.property(fc.array(range, { minLength: 1, maxLength: 6 }), moments, (ranges, writes) => {
        const table = newTable();
        const success = ranges.map(({ from, end, countOnly, isPoint }): mvccV1.RequestOp => ({
          request: {
            $case: 'requestRange',
            value: {
              key: bytes(name(from)),
              rangeEnd: isPoint ? Buffer.alloc(0) : bytes(name(end)),
              limit: 0n,
              keysOnly: false,
              countOnly,
            },
          },
        }));
        const txn: mvccV1.Txn = { compare: [EXISTS], success, failure: [] };
        const { responses } = table.evaluateReadOnlyTxn(txn);
        const read = table.openReadOnlyTxn(txn);
        let moment = 0;
        let result = read.run(() => false);
        expect(result).toBeUndefined();
        for (; result === undefined; result = read.run(() => false)) {
          write(table, writes[moment++] ?? []);
        }
        read.close();
        expect(result.succeeded).toBe(true);
        expect(result.responses.map(shownResponse)).toEqual(responses.map(shownResponse));
      }),
      { numRuns: RUNS },
    );
  });

  it('of a Txn whose moment was compacted away ends with an error, not with another moment', () => {
    const table = newTable();
    const value = { key: bytes(name(0)), rangeEnd: FROM_KEY, limit: 0n };
    const request = { ...value, keysOnly: false, countOnly: false };
    const operation: mvccV1.RequestOp = { request: { $case: 'requestRange', value: request } };
    const read = table.openReadOnlyTxn({
      compare: [],
      success: [operation, operation],
      failure: [],
    });
    while (table.state.revision === 1) {
      expect(read.run(() => false)).toBeUndefined();
      if (table.state.appliedIndex === 1) write(table, [put(name(1), 'a'), put(name(1), 'b')]);
    }
    table.compact(table.state.revision);
    const rest = () => {
      for (;;) if (read.run(() => false)) return;
    };
    expect(rest).toThrow(expect.objectContaining({ code: 'TABLE_COMPACTED' }));
    read.close();
    read.close();
  });
});
