/**
 * A stage against whoever else uses its slot, and against chunks whose checksum is right and whose
 * rows make no sense.
 */
import fc from 'fast-check';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Engine } from '../engine/engine.js';
import { openLmdbEngine } from '../engine/lmdb/lmdb-engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { openRocksEngine } from '../engine/rocksdb/rocksdb-engine.js';
import { bytes, del, entries, entry, FROM_KEY, put, shown } from '../testing/commands.js';
import { readRange } from '../testing/engine-compliance.js';
import { ChangeRowReader } from './change-row.js';
import { crc32c } from './crc32c.js';
import { decodeMeta, encodeMeta } from './meta-row.js';
import { decodeChunk, encodeChunk } from './snapshot-chunk.js';
import { TableStateMachine } from './table-state-machine.js';
import { openStage, type TableStage } from './table-stage.js';

const ID = 10_001;
const NOTE = bytes('note');
const EVERY_ROW = { gte: Buffer.alloc(1), lt: Buffer.alloc(6, 0xff) };
const LARGE = 'x'.repeat(700_000);

const tableOn = (engine: Engine): TableStateMachine =>
  new TableStateMachine({ engine, tableId: ID });

/** A table of this many large rows, and some history: as many chunks and one more. */
function chunksOf(rows: number): Buffer[] {
  const table = tableOn(openMemoryEngine());
  const large = Array.from({ length: rows }, (_, at) => put(`large${at}`, `${rows}${LARGE}`));
  table.apply(entries([put('a\0', '1'), put('a\0', '2'), del('a\0'), put('b', ''), ...large]));
  const view = table.openSnapshot();
  const chunks: Buffer[] = [];
  for (let chunk = view.next(); chunk; chunk = view.next()) chunks.push(chunk.data);
  return chunks;
}

function writeAll(stage: TableStage, chunks: readonly Buffer[]): void {
  for (const chunk of chunks) stage.write(chunk);
  stage.finish(NOTE);
}

const shownRows = (table: TableStateMachine): (string | undefined)[] =>
  table.range({ key: bytes(''), rangeEnd: FROM_KEY }).kvs.map((row) => shown(row)?.slice(0, 20));

const CLOSED: unknown = expect.objectContaining({ code: 'TABLE_CLOSED' });
const DAMAGED: unknown = expect.objectContaining({ code: 'TABLE_SNAPSHOT_DAMAGED' });

describe('a stage whose slot is not its own any more', () => {
  const [few, more] = [chunksOf(4), chunksOf(6)];

  it('never writes into the slot in use: another state was installed meanwhile', () => {
    for (const written of [0, 1, 2]) {
      const engine = openMemoryEngine();
      const table = tableOn(engine);
      const late = openStage({ engine, tableId: ID });
      for (const chunk of few.slice(0, written)) late.write(chunk);
      writeAll(openStage({ engine, tableId: ID }), more);
      table.installStaged();
      const before = readRange(engine, EVERY_ROW);
      expect(() => writeAll(late, few.slice(written))).toThrow(CLOSED);
      late.discard();
      expect(readRange(engine, EVERY_ROW)).toEqual(before);
    }
  });

  it('never does so either when a third one has begun as it began', () => {
    const engine = openMemoryEngine();
    const table = tableOn(engine);
    const late = openStage({ engine, tableId: ID });
    writeAll(openStage({ engine, tableId: ID }), more);
    table.installStaged();
    openStage({ engine, tableId: ID });
    const before = readRange(engine, EVERY_ROW);
    expect(() => late.write(few[0] ?? NOTE)).toThrow(CLOSED);
    expect(readRange(engine, EVERY_ROW)).toEqual(before);
  });

  it('never passes half a state off as a whole one: the slot was cleared meanwhile', () => {
    for (const clear of ['inactive', 'destroyed'] as const) {
      for (let written = 1; written <= few.length; written++) {
        const engine = openMemoryEngine();
        const stage = openStage({ engine, tableId: ID });
        for (const chunk of few.slice(0, written)) stage.write(chunk);
        if (clear === 'inactive') tableOn(engine).removeInactive();
        else tableOn(engine).destroy();
        expect(() => writeAll(stage, few.slice(written))).toThrow(CLOSED);
        expect(tableOn(engine).stagedNote()).toBeUndefined();
        expect(readRange(engine, EVERY_ROW)).toEqual([]);
      }
    }
  });

  it('neither mixes with another stage nor clears what that one gathered', () => {
    const engine = openMemoryEngine();
    const first = openStage({ engine, tableId: ID });
    first.write(few[0] ?? NOTE);
    const second = openStage({ engine, tableId: ID });
    second.write(more[0] ?? NOTE);
    expect(() => first.write(few[1] ?? NOTE)).toThrow(CLOSED);
    first.discard();
    writeAll(second, more.slice(1));
    first.discard();
    const table = tableOn(engine);
    table.installStaged();
    second.discard();
    expect(table.stats().keys).toBe(7);
  });

  it('clears what it finished, unless somebody else has begun there', () => {
    const engine = openMemoryEngine();
    const first = openStage({ engine, tableId: ID });
    writeAll(first, few);
    first.discard();
    expect(readRange(engine, EVERY_ROW)).toEqual([]);
    const second = openStage({ engine, tableId: ID });
    writeAll(second, few);
    const third = openStage({ engine, tableId: ID });
    third.write(few[0] ?? NOTE);
    second.discard();
    writeAll(third, few.slice(1));
    const table = tableOn(engine);
    table.installStaged();
    expect(shownRows(table)[0]).toBe('b=');
  });
});

describe.each(['memory', 'rocksdb', 'lmdb'] as const)('views that are open in %s', (kind) => {
  it('show what they were opened on to their end, whatever slot is used, cleared or filled', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'flotilla-stage-'));
    const openOnDisk = kind === 'lmdb' ? openLmdbEngine : openRocksEngine;
    const engine = kind === 'memory' ? openMemoryEngine() : await openOnDisk({ directory });
    const source = tableOn(openMemoryEngine());
    source.apply(entries(Array.from({ length: 6 }, (_, at) => put(`k${at % 5}`, `${at}${LARGE}`))));
    const expected = shownRows(source);
    const table = tableOn(engine);
    table.apply(entries(Array.from({ length: 6 }, (_, at) => put(`k${at % 5}`, `${at}${LARGE}`))));
    const view = table.openSnapshot();
    const chunks = [view.next()];
    const pages = table.iterate({ key: bytes(''), rangeEnd: FROM_KEY, revision: 5 });
    const rows = pages.next()?.kvs.map((row) => row.value[0]) ?? [];
    writeAll(openStage({ engine, tableId: ID }), chunksOf(6));
    table.installStaged();
    table.removeInactive();
    writeAll(openStage({ engine, tableId: ID }), chunksOf(7));
    for (let chunk = view.next(); chunk; chunk = view.next()) chunks.push(chunk);
    view.close();
    for (let page = pages.next(); page; page = pages.next()) {
      rows.push(...page.kvs.map((row) => row.value[0]));
    }
    pages.close();
    expect(Buffer.from(rows.flatMap((byte) => byte ?? [])).toString()).toBe('01234');
    const target = openMemoryEngine();
    const parts = chunks.flatMap((chunk) => chunk?.data ?? []);
    expect(parts.length).toBeGreaterThan(3);
    writeAll(openStage({ engine: target, tableId: ID }), parts);
    const copy = tableOn(target);
    copy.installStaged();
    expect(shownRows(copy)).toEqual(expected);
    await engine.close();
    await rm(directory, { recursive: true, force: true });
  });
});

describe('chunks with the right checksum', () => {
  const table = tableOn(openMemoryEngine());
  const commands = [put('a\0', '1'), put('a\0', '2'), del('a\0'), put('b', ''), put('c', '3')];
  // One by one: a change row each.
  for (const one of entries(commands)) table.apply([one]);
  const view = table.openSnapshot();
  const whole = decodeChunk(view.next()?.data ?? NOTE, 0);

  type Row = readonly [key: Buffer, value: Buffer];
  const rows: Row[] = [];
  for (let at = 0; at + 1 < whole.rows.length; at += 2) {
    rows.push([whole.rows[at] ?? NOTE, whole.rows[at + 1] ?? NOTE]);
  }

  function holdsSuperseded(value: Buffer): boolean {
    const row = new ChangeRowReader(value);
    while (row.next()) if (row.hasSuperseded) return true;
    return false;
  }

  /** All rows in one chunk, with totals that fit. */
  function chunkOf(given: readonly Row[]): Buffer {
    const parts = given.flat();
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    return encodeChunk(0, parts, { rows: given.length, bytes: size }, 0).bytes;
  }

  /** The same bytes under a checksum that is right again. */
  function resealed(chunk: Buffer, change: (bytes: Buffer) => void): Buffer {
    const changed = Buffer.from(chunk);
    change(changed);
    changed.writeUInt32BE(crc32c(changed.subarray(0, -4)), changed.length - 4);
    return changed;
  }

  function expectRefused(chunk: Buffer): void {
    const engine = openMemoryEngine();
    const old = tableOn(engine);
    old.apply([entry(1, put('old', '1'))]);
    const before = readRange(engine, EVERY_ROW);
    const stage = openStage({ engine, tableId: ID });
    expect(() => writeAll(stage, [chunk])).toThrow(DAMAGED);
    expect(() => stage.finish(NOTE)).toThrow(CLOSED);
    stage.discard();
    expect(readRange(engine, EVERY_ROW)).toEqual(before);
  }

  it('and the rows of a table are taken', () => {
    const engine = openMemoryEngine();
    writeAll(openStage({ engine, tableId: ID }), [chunkOf(rows)]);
    const copy = tableOn(engine);
    copy.installStaged();
    expect(shownRows(copy)).toEqual(['b=', 'c=3']);
  });

  it('and rows out of order, twice, left out, or of no area are refused', () => {
    expect(rows.length).toBe(1 + 2 + 5);
    for (const at of rows.keys()) {
      const without = rows.filter((_, other) => other !== at);
      const [row, next] = [rows[at], rows[at + 1]];
      if (!row) continue;
      expectRefused(chunkOf([...rows.slice(0, at), row, ...rows.slice(at)]));
      if (next) expectRefused(chunkOf([...rows.slice(0, at), next, row, ...rows.slice(at + 2)]));
      // A row of changes that superseded nothing is not missed by anything.
      if (row[0][0] !== 2 || holdsSuperseded(row[1])) expectRefused(chunkOf(without));
      for (const area of [3, 8, 9, 0xfd, 0xff]) {
        const key = Buffer.from(row[0]);
        key[0] = area;
        expectRefused(chunkOf([...without, [key, row[1]]]));
      }
    }
    expectRefused(chunkOf([]));
    expectRefused(chunkOf([...rows, [Buffer.alloc(0), NOTE]]));
  });

  it('and a key or a value that is cut anywhere is refused', () => {
    for (const [at, [key, value]] of rows.entries()) {
      const others = (row: Row): Row[] => rows.map((each, other) => (other === at ? row : each));
      for (let length = 0; length < key.length; length++) {
        expectRefused(chunkOf(others([key.subarray(0, length), value])));
      }
      for (let length = 0; length < value.length; length++) {
        expectRefused(chunkOf(others([key, value.subarray(0, length)])));
      }
    }
  });

  it('and counts that are not those of the rows are refused', () => {
    const [first] = rows;
    if (!first) throw new Error('there is no meta row');
    const meta = decodeMeta(first[1]);
    for (const name of ['keys', 'liveBytes', 'historyRows', 'supersededTotal'] as const) {
      for (const change of [-1, 1, 2 ** 40]) {
        const value = encodeMeta({ ...meta, [name]: meta[name] + change });
        expectRefused(chunkOf([[first[0], value], ...rows.slice(1)]));
      }
    }
    for (const impossible of [{ epoch: 0 }, { epoch: 2 ** 32 }, { floorEpoch: 2 }]) {
      const value = encodeMeta({ ...meta, ...impossible });
      expectRefused(chunkOf([[first[0], value], ...rows.slice(1)]));
    }
    const ahead = encodeMeta({ ...meta, compactedRevision: meta.revision + 1 });
    expectRefused(chunkOf([[first[0], ahead], ...rows.slice(1)]));
    const empty = encodeMeta({ ...meta, appliedIndex: 0 });
    expectRefused(chunkOf([[first[0], empty], ...rows.slice(1)]));
  });

  it('and any bytes in place of what they were raise no other error than that they are damaged', () => {
    const chunk = chunkOf(rows);
    const change = fc.record({ at: fc.nat(chunk.length - 5), to: fc.uint8Array({ minLength: 1 }) });
    fc.assert(
      fc.property(change, ({ at, to }) => {
        const changed = resealed(chunk, (all) =>
          Buffer.from(to).copy(all, at, 0, all.length - 4 - at),
        );
        const engine = openMemoryEngine();
        const stage = openStage({ engine, tableId: ID });
        try {
          writeAll(stage, [changed]);
        } catch (error) {
          expect(error).toEqual(DAMAGED);
          return;
        }
        // What was taken is a table that can be read, compacted and written on.
        const copy = tableOn(engine);
        copy.installStaged();
        shownRows(copy);
        while (!copy.compact(copy.state.revision).done);
      }),
      { numRuns: 400 },
    );
  });

  it('and a head with a count, a length or a flag that cannot be is refused', () => {
    const chunk = chunkOf(rows);
    for (const count of [0, 1, rows.length - 1, rows.length + 1, 0x7fffffff, 0xffffffff]) {
      expectRefused(resealed(chunk, (all) => all.writeUInt32BE(count, 9)));
    }
    for (const length of [0, chunk.length, 0xffffffff]) {
      expectRefused(resealed(chunk, (all) => all.writeUInt32BE(length, 13)));
    }
    for (const flags of [2, 3, 0xff]) {
      expectRefused(resealed(chunk, (all) => all.writeUInt8(flags, 4)));
    }
    expectRefused(resealed(chunk, (all) => all.fill(0xff, all.length - 20, all.length - 4)));
    expectRefused(encodeChunk(0, [], undefined, 0).bytes);
  });
});
