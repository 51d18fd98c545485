/**
 * The pages of a table for the feed, with writes between their pieces, against all rows of the moment at which
 * they were opened.
 */
import fc from 'fast-check';
import { hot } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { bytes, del, entry, FROM_KEY, put, putBatch } from '../testing/commands.js';
import { TableStateMachine } from './table-state-machine.js';
import { type FeedPage, type FeedSlice } from './table-types.js';

const KEYS = 300;
const RUNS = 60;
const EMPTY = Buffer.alloc(0);
const name = (at: number): string => `key/${String(at).padStart(3, '0')}`;

/** With a row of 1 byte now and then, and one that is larger than most pages. */
function newTable(keys: number): TableStateMachine {
  const table = new TableStateMachine({ engine: openMemoryEngine(), tableId: 10_001 });
  const pairs = Array.from({ length: keys }, (_, at): [string, string] => [
    name(at),
    'v'.repeat(at === 150 ? 5_000 : at % 90),
  ]);
  table.apply([entry(1, putBatch(pairs))]);
  return table;
}

const room = { headBytes: hot.TABLE_CHUNK_HEAD_BYTES, tailBytes: hot.TABLE_CHUNK_TAIL_BYTES };

interface Read {
  readonly rows: readonly hot.ReceivedRow[];
  readonly pages: readonly FeedPage[];
  readonly pieces: number;
}

function readAll(next: () => FeedSlice | undefined): Read {
  const rows: hot.ReceivedRow[] = [];
  const pages: FeedPage[] = [];
  let pieces = 0;
  for (let slice = next(); slice !== undefined; slice = next()) {
    pieces++;
    if (!slice.isLast) continue;
    pages.push(slice.page);
    const chunk = hot.decodeTableChunk(hot.completeTableChunk(slice.page, undefined, slice.more));
    expect(chunk.more).toBe(slice.more);
    rows.push(...chunk.rows);
  }
  return { rows, pages, pieces };
}

function rowsOf(table: TableStateMachine, after: string): hot.ReceivedRow[] {
  const all = table.range({ key: bytes(after === '' ? '' : `${after}\0`), rangeEnd: FROM_KEY }).kvs;
  return all.map(({ key, value, createRevision, modRevision, version }) => {
    return { key, value, createRevision, modRevision, version };
  });
}

const at = fc.nat(KEYS - 1);
const command = fc.oneof(
  at.map((one) => put(name(one), 'written between')),
  at.map((one) => del(name(one))),
);

describe('the pages of a table for the feed', () => {
  it('hold every row behind a key as of the moment they were opened, whatever is written meanwhile', () => {
    const moments = fc.array(fc.array(command, { maxLength: 3 }), { maxLength: 8 });
    const sizes = fc.constantFrom(1, 200, 3_000, 4_000_000);
    const after = fc.oneof(fc.constant(''), at.map(name));
    fc.assert(
      fc.property(sizes, after, moments, fc.nat(KEYS), (pageBytesMax, afterKey, writes, keys) => {
        const table = newTable(keys);
        const expected = rowsOf(table, afterKey);
        const view = table.iterateFeed({ ...room, afterKey: bytes(afterKey), pageBytesMax });
        let moment = 0;
        const { rows, pieces } = readAll(() =>
          view.slice(() => {
            for (const one of writes[moment++] ?? []) {
              table.apply([entry(table.state.appliedIndex + 1, one)]);
            }
            return false;
          }),
        );
        expect(rows).toEqual(expected);
        if (expected.length > 128 && pageBytesMax > 200) expect(pieces).toBeGreaterThan(1);
      }),
      { numRuns: RUNS },
    );
  });

  it('keep to their size unless one row alone is larger, and take no more memory than that', () => {
    const pageBytesMax = 3_000;
    const view = newTable(KEYS).iterateFeed({ ...room, afterKey: EMPTY, pageBytesMax });
    const roomBytes = room.headBytes + room.tailBytes;
    const { pages } = readAll(() => view.slice(() => true));
    const large = pages.filter(({ start, end }) => end - start > pageBytesMax);
    expect(large).toHaveLength(1);
    for (const page of pages.filter((one) => !large.includes(one))) {
      expect(page.bytes.length).toBeLessThanOrEqual(pageBytesMax + roomBytes);
    }
    // All but the ones next to the large row, and the last, are nearly full.
    const full = pages.filter(({ start, end }) => end - start > pageBytesMax * 0.9);
    expect(full.length).toBeGreaterThanOrEqual(pages.length - 2);
  });

  it('leave the room that was asked for around their rows, however full they are', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.nat(200),
        fc.nat(200),
        (size, head, tail) => {
          const wanted = { headBytes: head, tailBytes: tail, pageBytesMax: size };
          const view = newTable(40).iterateFeed({ ...wanted, afterKey: EMPTY });
          for (let slice = view.slice(() => true); slice?.isLast; slice = view.slice(() => true)) {
            expect(slice.page.start).toBe(head);
            expect(slice.page.bytes.length - slice.page.end).toBeGreaterThanOrEqual(tail);
          }
        },
      ),
      { numRuns: RUNS },
    );
  });

  it('of a small table take a small buffer, and those of an empty one have no rows', () => {
    const pageBytesMax = 256 * 1024;
    const small = newTable(5).iterateFeed({ ...room, afterKey: EMPTY, pageBytesMax });
    const [page] = readAll(() => small.slice(() => true)).pages;
    expect(page?.bytes.length).toBeLessThan(1_000);
    const empty = newTable(0).iterateFeed({ ...room, afterKey: EMPTY, pageBytesMax });
    expect(readAll(() => empty.slice(() => true))).toMatchObject({ rows: [], pieces: 1 });
    expect(empty.slice(() => true)).toBeUndefined();
  });
});
