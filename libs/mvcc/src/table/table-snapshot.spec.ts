import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Engine, type EngineBatch } from '../engine/engine.js';
import { openLmdbEngine } from '../engine/lmdb/lmdb-engine.js';
import { openMemoryEngine } from '../engine/memory/memory-engine.js';
import { openRocksEngine } from '../engine/rocksdb/rocksdb-engine.js';
import { bytes, del, entries, entry, put, text } from '../testing/commands.js';
import { readRange } from '../testing/engine-compliance.js';
import { crc32c } from './crc32c.js';
import { listTableIds } from './slots.js';
import { TableStateMachine } from './table-state-machine.js';
import { openStage } from './table-stage.js';

const ID = 10_001;
const NOTE = Buffer.from('note');

function hashOf(table: TableStateMachine, revision?: number): string {
  const hasher = createHash('sha256');
  table.hash(hasher, revision === undefined ? {} : { revision });
  return hasher.digest('hex');
}

function chunksOf(table: TableStateMachine, between: () => void = () => undefined): Buffer[] {
  const view = table.openSnapshot();
  const chunks: Buffer[] = [];
  for (let chunk = view.next(); chunk; chunk = view.next()) {
    chunks.push(chunk.data);
    between();
  }
  view.close();
  view.close();
  return chunks;
}

function stage(engine: Engine, chunks: readonly Buffer[]): void {
  const staged = openStage({ engine, tableId: ID });
  for (const chunk of chunks) staged.write(chunk);
  staged.finish(NOTE);
}

/** 300 rows of 16 KiB, some overwritten, some deleted: several chunks, with history. */
function filled(engine: Engine): TableStateMachine {
  const table = new TableStateMachine({ engine, tableId: ID });
  const large = 'x'.repeat(16 * 1024);
  const commands = Array.from({ length: 300 }, (_, at) => put(`k${at % 250}`, `${at}${large}`));
  table.apply(entries([...commands, del('k7'), put('\0\xff', '\0')]));
  return table;
}

describe.each(['memory', 'rocksdb', 'lmdb'] as const)('a snapshot of a table in %s', (kind) => {
  let directory: string;
  let source: Engine;
  let target: Engine;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'flotilla-snapshot-'));
    const open = async (name: string): Promise<Engine> => {
      if (kind === 'memory') return openMemoryEngine();
      const openOnDisk = kind === 'lmdb' ? openLmdbEngine : openRocksEngine;
      return openOnDisk({ directory: join(directory, name) });
    };
    [source, target] = await Promise.all([open('source'), open('target')]);
  });
  afterEach(async () => {
    await Promise.all([source.close(), target.close()]);
    await rm(directory, { recursive: true, force: true });
  });

  it('is the table as it was when it was opened, whatever is written meanwhile', () => {
    const from = filled(source);
    const before = hashOf(from);
    let index = from.state.appliedIndex;
    const chunks = chunksOf(from, () => from.apply([entry(++index, put(`new${index}`, 'later'))]));
    expect(chunks.length).toBeGreaterThan(3);
    expect(hashOf(from)).not.toBe(before);
    const to = new TableStateMachine({ engine: target, tableId: ID });
    stage(target, chunks);
    to.installStaged();
    expect(hashOf(to)).toBe(before);
  });

  it('brings everything: rows, history, index, and it can be written on', () => {
    const from = filled(source);
    const to = new TableStateMachine({ engine: target, tableId: ID });
    stage(target, chunksOf(from));
    to.installStaged();
    expect(to.state).toEqual(from.state);
    for (const revision of [1, 100, 251, 300, 301]) {
      expect(hashOf(to, revision)).toBe(hashOf(from, revision));
    }
    const next = entry(from.state.appliedIndex + 1, put('k1', 'on'));
    expect(to.apply([next])).toEqual(from.apply([next]));
    expect(hashOf(to)).toBe(hashOf(from));
    from.compact(250);
    to.compact(250);
    expect(to.stats()).toEqual(from.stats());
  });

  it('is gathered while the old state serves and goes on, and takes its place at once', () => {
    const from = filled(source);
    const to = new TableStateMachine({ engine: target, tableId: ID });
    to.apply([entry(1, put('old', '1'))]);
    const staged = openStage({ engine: target, tableId: ID });
    for (const [at, chunk] of chunksOf(from).entries()) {
      staged.write(chunk);
      to.apply([entry(2 + at, put('old', String(at)))]);
      expect(text(to.get(bytes('old'))?.value ?? Buffer.alloc(0))).toBe(String(at));
      expect(to.get(bytes('k1'))).toBeUndefined();
    }
    staged.finish(NOTE);
    expect(to.stagedNote()).toEqual(NOTE);
    const view = to.iterate({ key: bytes('\0'), rangeEnd: bytes('\0') });
    to.installStaged();
    expect(to.get(bytes('old'))).toBeUndefined();
    expect(hashOf(to)).toBe(hashOf(from));
    expect(view.next()?.kvs.map(({ key }) => text(key))).toEqual(['old']);
    view.close();
    expect(to.stagedNote()).toBeUndefined();
    expect(to.installedNote()).toEqual(NOTE);
    to.removeInactive();
    const again = new TableStateMachine({ engine: target, tableId: ID });
    expect(hashOf(again)).toBe(hashOf(from));
  });

  it('a second one goes back into the first slot; destroying leaves no row', () => {
    const from = filled(source);
    const to = new TableStateMachine({ engine: target, tableId: ID });
    stage(target, chunksOf(from));
    to.installStaged();
    to.removeInactive();
    from.apply([entry(from.state.appliedIndex + 1, put('more', '1'))]);
    stage(target, chunksOf(from));
    to.installStaged();
    expect(hashOf(to)).toBe(hashOf(from));
    expect(listTableIds(target)).toEqual([ID]);
    to.destroy();
    expect(listTableIds(target)).toEqual([]);
  });

  it('an older one, or none, is not installed', () => {
    const from = filled(source);
    const to = new TableStateMachine({ engine: target, tableId: ID });
    expect(() => to.installStaged()).toThrow(expect.objectContaining({ code: 'TABLE_NOT_STAGED' }));
    stage(target, chunksOf(from));
    to.apply(entries(Array.from({ length: 400 }, () => put('k', 'v'))));
    expect(() => to.installStaged()).toThrow(expect.objectContaining({ code: 'TABLE_NOT_STAGED' }));
    expect(text(to.get(bytes('k'))?.value ?? Buffer.alloc(0))).toBe('v');
  });

  it('tables with rows are listed, each once', () => {
    for (const tableId of [0, 5, 10_001, 0xffffffff]) {
      const table = new TableStateMachine({ engine: source, tableId });
      table.apply(entries([put('a', '1'), put('b', '2')]));
    }
    expect(listTableIds(source)).toEqual([0, 5, 10_001, 0xffffffff]);
  });
});

describe('chunks of a snapshot', () => {
  const source = filled(openMemoryEngine());
  const chunks = chunksOf(source);

  function expectRefused(given: readonly Buffer[]): void {
    const engine = openMemoryEngine();
    const table = new TableStateMachine({ engine, tableId: ID });
    table.apply([entry(1, put('old', '1'))]);
    const refused = { code: 'TABLE_SNAPSHOT_DAMAGED' };
    expect(() => stage(engine, given)).toThrow(expect.objectContaining(refused));
    expect(table.stagedNote()).toBeUndefined();
    expect(text(table.get(bytes('old'))?.value ?? Buffer.alloc(0))).toBe('1');
  }

  it('a missing, doubled, swapped or cut one is refused, and the table stays as it was', () => {
    const [first, second, third] = chunks as [Buffer, Buffer, Buffer];
    expectRefused([]);
    expectRefused(chunks.slice(0, -1));
    expectRefused(chunks.slice(1));
    expectRefused([first, first]);
    expectRefused([first, third]);
    expectRefused([first, third, second]);
    expectRefused([first.subarray(0, -1)]);
    expectRefused([...chunks, second]);
  });

  it('a flipped bit anywhere is found', () => {
    fc.assert(
      fc.property(fc.nat(chunks.length - 1), fc.nat(), fc.nat(7), (which, where, bit) => {
        const damaged = chunks.map((chunk) => Buffer.from(chunk));
        const chunk = damaged[which];
        if (!chunk) return;
        const at = where % chunk.length;
        chunk[at] = (chunk[at] ?? 0) ^ (1 << bit);
        expectRefused(damaged);
      }),
      { numRuns: 60 },
    );
  });

  it('the checksum is CRC-32C', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    const whole = Buffer.from('any bytes at all, in two parts');
    const [a, b] = [whole.subarray(0, 11), whole.subarray(11)];
    expect(crc32c(b, crc32c(a))).toBe(crc32c(whole));
  });
});

describe('a crash', () => {
  it('at any point of staging and installing leaves the old state or the new one', () => {
    const from = filled(openMemoryEngine());
    const chunks = chunksOf(from);
    const [old, fresh] = [hashOf(oldTable(openMemoryEngine())), hashOf(from)];
    for (let operations = 0; ; operations++) {
      const engine = openMemoryEngine();
      oldTable(engine);
      const done = runFor(engine, operations, (limited) => {
        stage(limited, chunks);
        const table = new TableStateMachine({ engine: limited, tableId: ID });
        table.installStaged();
        table.removeInactive();
      });
      const after = new TableStateMachine({ engine, tableId: ID });
      const expected = after.installedNote() === undefined ? old : fresh;
      expect(hashOf(after), `after ${operations} operations`).toBe(expected);
      if (after.stagedNote() !== undefined) {
        after.installStaged();
        expect(hashOf(after)).toBe(fresh);
      }
      if (done) break;
    }
  });

  it('with less than the whole table kept on disk is never taken for a table', () => {
    const from = filled(openMemoryEngine());
    const engine = openMemoryEngine();
    oldTable(engine);
    const before = readRange(engine, { gte: Buffer.alloc(1), lt: Buffer.alloc(6, 0xff) }).length;
    const staged = openStage({ engine, tableId: ID });
    for (const chunk of chunksOf(from).slice(0, 2)) staged.write(chunk);
    expect(new TableStateMachine({ engine, tableId: ID }).stagedNote()).toBeUndefined();
    staged.discard();
    expect(readRange(engine, { gte: Buffer.alloc(1), lt: Buffer.alloc(6, 0xff) })).toHaveLength(
      before,
    );
  });
});

function oldTable(engine: Engine): TableStateMachine {
  const table = new TableStateMachine({ engine, tableId: ID });
  table.apply(entries([put('old', '1'), put('older', '2')]));
  return table;
}

class OutOfOperations extends Error {}

/** Lets so many writes through, then fails; true if that was enough. */
function runFor(engine: Engine, operations: number, work: (engine: Engine) => void): boolean {
  let left = operations;
  const count = () => {
    if (left-- === 0) throw new OutOfOperations();
  };
  const limited = new Proxy(engine, {
    get(target, name) {
      if (name === 'deleteRange') {
        return (range: Parameters<Engine['deleteRange']>[0]) => {
          count();
          target.deleteRange(range);
        };
      }
      if (name === 'batch') return () => limitBatch(target.batch(), count);
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  try {
    work(limited);
    return true;
  } catch (error) {
    if (error instanceof OutOfOperations) return false;
    throw error;
  }
}

function limitBatch(batch: EngineBatch, count: () => void): EngineBatch {
  return {
    put(key, value) {
      batch.put(key, value);
      return this;
    },
    del(key) {
      batch.del(key);
      return this;
    },
    get length() {
      return batch.length;
    },
    write() {
      count();
      batch.write();
    },
    close: () => batch.close(),
  };
}
