import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { EngineError } from '../engine/engine-error.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { TableStateMachine } from '../table/table-state-machine.js';
import { type PackedPages, type RangeQuery } from '../table/table-types.js';
import { bytes, del, dummy, entry, FROM_KEY, put, putBatch } from '../testing/commands.js';
import { RangeCache } from './range-cache.js';

const KEYS = 2_000;
const BATCH_KEYS = 500;
const name = (at: number): string => `key/${String(at).padStart(6, '0')}`;
const always = (): boolean => true;
const never = (): boolean => false;

/** Counts the range views, and fails when it is told to. */
class WatchedEngine {
  views = 0;
  failing: 'views' | 'writes' | undefined;
  readonly engine: Engine;

  constructor(inner: Engine = openMemoryEngine()) {
    this.engine = Object.assign(Object.create(inner) as Engine, {
      iterator: (options: Parameters<Engine['iterator']>[0]) => {
        if (this.failing === 'views') throw new EngineError('ENGINE_BUSY', 'too many views');
        this.views++;
        return inner.iterator(options);
      },
      batch: () => {
        const batch = inner.batch();
        if (this.failing !== 'writes') return batch;
        return Object.assign(batch, {
          write: () => {
            throw new EngineError('ENGINE_IO', 'the disk is gone');
          },
        });
      },
    });
  }
}

class Bench {
  readonly watched = new WatchedEngine();
  readonly cache: RangeCache;
  readonly table: TableStateMachine;

  constructor(bytesMax: number, keys = KEYS) {
    const { engine } = this.watched;
    this.cache = new RangeCache({ bytesMax });
    this.table = new TableStateMachine({ engine, tableId: 10_001, rangeCache: this.cache });
    for (let at = 0; at < keys; at += BATCH_KEYS) {
      const pairs = Array.from({ length: BATCH_KEYS }, (_, one): [string, string] => [
        name(at + one),
        'a value of some bytes',
      ]);
      this.apply(putBatch(pairs));
    }
  }

  apply(command: Parameters<typeof entry>[1]): void {
    this.table.apply([entry(this.table.state.appliedIndex + 1, command)]);
  }

  /** Rows and how many views of the engine they took. */
  read(query: RangeQuery): { rows: number; views: number } {
    const before = this.watched.views;
    const pages = this.table.iteratePacked(query);
    let rows = 0;
    for (let slice = pages.slice(always); slice; slice = pages.slice(always)) {
      if (slice.isLast) rows += slice.count;
    }
    pages.close();
    return { rows, views: this.watched.views - before };
  }

  text(query: RangeQuery): string {
    return textOf(this.table.iteratePacked(query));
  }

  from(at: number, limit = 100): RangeQuery {
    return { key: bytes(name(at)), rangeEnd: FROM_KEY, limit };
  }
}

/** What is left of a range. */
function textOf(pages: PackedPages): string {
  const parts: Uint8Array[] = [];
  for (let slice = pages.slice(always); slice; slice = pages.slice(always)) {
    parts.push(...slice.parts);
  }
  return Buffer.concat(parts).toString('latin1');
}

const ALL: RangeQuery = { key: bytes('\0'), rangeEnd: FROM_KEY };
const MIB = 1024 * 1024;

describe('a range', () => {
  it('that was read before comes from memory, whichever part of it is asked for', () => {
    const bench = new Bench(MIB);
    expect(bench.read(ALL)).toEqual({ rows: KEYS, views: 1 });
    expect(bench.read(ALL)).toEqual({ rows: KEYS, views: 0 });
    expect(bench.read(bench.from(777, 300))).toEqual({ rows: 300, views: 0 });
    expect(bench.read({ ...ALL, countOnly: true })).toEqual({ rows: KEYS, views: 0 });
    expect(bench.read({ ...ALL, keysOnly: true })).toEqual({ rows: KEYS, views: 0 });
  });

  it('takes from the engine what is missing between the runs in memory, and only that', () => {
    const bench = new Bench(MIB);
    bench.read(bench.from(100));
    bench.read(bench.from(500));
    expect(bench.read({ key: bytes(name(100)), rangeEnd: bytes(name(600)) })).toEqual({
      rows: 500,
      views: 1,
    });
    expect(bench.read({ key: bytes(name(100)), rangeEnd: bytes(name(600)) }).views).toBe(0);
  });

  it('still comes from memory when some of its keys were put, added or deleted', () => {
    const bench = new Bench(MIB);
    bench.read(ALL);
    bench.apply(put(name(1_000), 'another value'));
    bench.apply(put(`${name(1_000)}/added`, 'a value'));
    bench.apply(del(name(1_001), name(1_004)));
    expect(bench.read(ALL)).toEqual({ rows: KEYS + 1 - 3, views: 0 });
  });

  it('is read anew where more of its keys have changed than are worth a note', () => {
    const bench = new Bench(MIB);
    bench.read(ALL);
    for (let at = 1_000; at < 1_200; at++) bench.apply(put(name(at), 'another value'));
    expect(bench.read(ALL)).toEqual({ rows: KEYS, views: 1 });
    expect(bench.read(ALL)).toEqual({ rows: KEYS, views: 0 });
  });

  it('is not kept for keys or a count alone: nothing is known of the values', () => {
    const bench = new Bench(MIB);
    bench.read({ ...ALL, countOnly: true });
    bench.read({ ...ALL, keysOnly: true });
    expect(bench.cache.stats().entries).toBe(0);
  });
});

describe('the bound in bytes', () => {
  it('is kept, whatever is read, and what is asked for often survives a pass over everything', () => {
    const bytesMax = 128 * 1024;
    const bench = new Bench(bytesMax, 10_000);
    for (let time = 0; time < 3; time++) bench.read(bench.from(5_000));
    for (let at = 0; at < 10_000; at += 100) {
      if (at !== 5_000) bench.read(bench.from(at));
      expect(bench.cache.stats().bytes).toBeLessThanOrEqual(bytesMax);
    }
    expect(bench.cache.stats().evictions).toBeGreaterThan(50);
    expect(bench.read(bench.from(5_000))).toEqual({ rows: 100, views: 0 });
    expect(bench.read(bench.from(100)).views).toBe(1);
  });

  it('is never filled by one read, however long it is', () => {
    const bytesMax = 256 * 1024;
    const bench = new Bench(bytesMax, 10_000);
    expect(bench.read(ALL).rows).toBe(10_000);
    const { bytes: used } = bench.cache.stats();
    expect(used).toBeGreaterThan(bytesMax / 16);
    expect(used).toBeLessThan(bytesMax / 4);
  });

  it('is free again when revisions are counted anew', () => {
    const bench = new Bench(MIB);
    bench.read(ALL);
    bench.apply(dummy({ leaderIndex: 0n }));
    expect(bench.cache.stats()).toMatchObject({ bytes: 0, entries: 0 });
    expect(bench.read(ALL).rows).toBe(KEYS);
  });

  it('is free again once the table is destroyed', () => {
    const bench = new Bench(MIB);
    bench.read(ALL);
    expect(bench.cache.stats().bytes).toBeGreaterThan(KEYS);
    bench.table.destroy();
    expect(bench.cache.stats()).toMatchObject({ bytes: 0, entries: 0 });
  });
});

describe('a read that goes on later', () => {
  it('does not keep what another read has kept meanwhile: a change would miss one of both', () => {
    const bench = new Bench(MIB);
    const first = bench.table.iteratePacked(ALL);
    expect(first.slice(never)?.count).toBeLessThan(40);
    expect(bench.read(bench.from(40, 20)).rows).toBe(20);
    while (first.slice(always));
    const range = { key: bytes(name(33)), rangeEnd: bytes(name(99)) };
    bench.read(range);
    bench.apply(put(name(50), 'changed'));
    expect(bench.text(range)).toContain('changed');
  });

  it('shows its moment behind the runs that it could have used, when all of it has changed', () => {
    const bench = new Bench(MIB);
    bench.read(bench.from(500));
    const range = { key: bytes(name(0)), rangeEnd: bytes(name(1_000)) };
    const pages = bench.table.iteratePacked(range);
    expect(pages.slice(never)?.count).toBeLessThan(500);
    for (const at of [100, 550, 700]) bench.apply(put(name(at), 'changed'));
    expect(textOf(pages)).not.toContain('changed');
    expect(bench.text(range).match(/changed/g)).toHaveLength(3);
  });

  it("does not look at the bounds it was given any more: they are the caller's", () => {
    const bench = new Bench(MIB);
    const query = { key: bytes(name(10)), rangeEnd: bytes(name(20)) };
    const pages = bench.table.iteratePacked(query);
    query.key.fill(0xff);
    query.rangeEnd.fill(0xff);
    expect(pages.slice(always)?.count).toBe(10);
  });
});

describe('reads that go on after a write', () => {
  const small: RangeQuery = { ...ALL, pageBytesMax: 1_000 };

  function paused(bench: Bench): PackedPages {
    const pages = bench.table.iteratePacked(small);
    expect(pages.slice(never)?.count).toBeGreaterThan(0);
    return pages;
  }

  it('open their view of the engine before it, and none where nothing is written', () => {
    const bench = new Bench(MIB);
    bench.read(ALL);
    const { watched } = bench;
    watched.views = 0;
    const reads = Array.from({ length: 3 }, () => paused(bench));
    expect(watched.views).toBe(0);
    bench.apply(put('another', 'value'));
    bench.apply(put('and another', 'value'));
    expect(watched.views).toBe(3);
    for (const each of reads) each.close();
  });

  it('are so many at most that the write need not wait long for their views', () => {
    const bench = new Bench(MIB);
    bench.read(ALL);
    const { watched } = bench;
    watched.views = 0;
    const reads = Array.from({ length: 200 }, () => paused(bench));
    expect(watched.views).toBe(200 - 64);
    bench.apply(put('another', 'value'));
    expect(watched.views).toBe(200);
    for (const each of reads) each.close();
  });

  it('end with the error of a view that could not be opened, and the write takes place', () => {
    const bench = new Bench(MIB);
    bench.read(ALL);
    const read = paused(bench);
    bench.watched.failing = 'views';
    bench.apply(put('another', 'value'));
    expect(bench.table.get(bytes('another'))).toBeDefined();
    const rest = () => {
      for (;;) if (!read.slice(always)) return;
    };
    expect(rest).toThrow(expect.objectContaining({ code: 'ENGINE_BUSY' }));
    read.close();
  });

  it('nothing is taken from memory any more once nobody knows what a failed write left', () => {
    const bench = new Bench(MIB);
    bench.read(ALL);
    bench.watched.failing = 'writes';
    expect(() => bench.apply(put('another', 'value'))).toThrow('the disk is gone');
    expect(bench.cache.stats().entries).toBe(0);
  });
});

describe('a run that begins where another one ended', () => {
  const BYTES_MAX = 64 * 1024;
  /** So many make a read of the engine: more bytes than two runs that touch may have to become one. */
  const RUN_ROWS = 14;
  const large = (at: number): string => `b/${String(at).padStart(4, '0')}`;

  it('may go while the rows in front of it are read, and leaves nothing behind', () => {
    const bench = new Bench(BYTES_MAX, 0);
    const value = 'v'.repeat(300);
    bench.apply(putBatch(Array.from({ length: 400 }, (_, at) => [large(at), value])));
    const { cache } = bench;
    const range = (from: string, end: string) =>
      bench.read({ key: bytes(from), rangeEnd: bytes(end) }).rows;
    const readOne = (at: number) => range(large(at), `${large(at)}\0`);
    expect(range(`${large(RUN_ROWS - 1)}\0`, large(2 * RUN_ROWS))).toBe(RUN_ROWS);
    for (let at = 100; cache.stats().bytes + 2_000 <= BYTES_MAX; at += 2) readOne(at);
    expect(cache.stats().evictions).toBe(0);
    // What is read first has room only once the run behind it goes.
    expect(range(large(0), large(3 * RUN_ROWS))).toBe(3 * RUN_ROWS);
    expect(cache.stats().evictions).toBeGreaterThan(0);
    for (let at = 200; at < 400; at += 2) expect(readOne(at)).toBe(1);
    expect(cache.stats().bytes).toBeLessThanOrEqual(BYTES_MAX);
  });
});

describe('a range of which memory holds many runs without a row', () => {
  it('is interrupted among them, too', () => {
    const bench = new Bench(MIB);
    for (let at = 0; at < 400; at += 2) {
      bench.read({ key: bytes(name(at)), rangeEnd: bytes(`${name(at)}\0`) });
    }
    bench.apply(del('\0', name(KEYS - 1)));
    const pages = bench.table.iteratePacked(ALL);
    const before = bench.watched.views;
    let [pieces, views, viewsMax] = [0, before, 0];
    for (let slice = pages.slice(never); slice; slice = pages.slice(never)) {
      viewsMax = Math.max(viewsMax, bench.watched.views - views);
      views = bench.watched.views;
      pieces++;
      if (slice.isLast) expect(slice).toMatchObject({ more: false, count: 1 });
    }
    pages.close();
    expect(viewsMax).toBe(1);
    expect(pieces).toBeGreaterThan(200);
  });
});
