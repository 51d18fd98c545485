/**
 * The LMDB adapter under the compliance suite, and what only it can get wrong.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Keyspace } from '../../table/keyspace.js';
import { engineCompliance, readRange } from '../../testing/engine-compliance.js';
import { type Engine } from '../engine.js';
import { openRocksEngine } from '../rocksdb/rocksdb-engine.js';
import { KEY_BYTES_MAX } from './binding.js';
import { openLmdbEngine } from './lmdb-engine.js';

const newDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), 'flotilla-engine-'));

engineCompliance('lmdb', async () => {
  const directory = await newDirectory();
  return {
    engine: await openLmdbEngine({ directory }),
    reopen: () => openLmdbEngine({ directory }),
    cleanUp: () => rm(directory, { recursive: true, force: true }),
  };
});

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const EVERYTHING = { gte: bytes(''), lt: bytes('\xff\xff') };

let directory: string;

beforeEach(async () => {
  directory = await newDirectory();
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('the keys of lmdb', () => {
  let engine: Engine;

  beforeEach(async () => {
    engine = await openLmdbEngine({ directory });
  });
  afterEach(() => engine.close());

  const filled = (length: number, byte: number): Buffer => Buffer.alloc(length, byte);
  const keysOf = (gte: Uint8Array, lt: Uint8Array, reverse: boolean): Buffer[] => {
    const view = engine.iterator({ gte, lt, reverse, content: 'keys' });
    const { items } = view.read(100);
    view.close();
    return items;
  };

  it('the largest keys of a table are stored, found and in order', () => {
    const rows = new Keyspace(7);
    const userKeys = [0, 1, 255].map((byte) => filled(1024, byte));
    const keys = userKeys.map((key) => rows.liveKey(key));
    expect(keys[0]).toHaveLength(1029);
    const batch = engine.batch();
    for (const key of keys) batch.put(key, key);
    batch.write();
    for (const key of keys) expect(engine.get(key)).toEqual(key);
    const { gte, lt } = rows.liveRange({ start: filled(1024, 0), end: undefined });
    expect(keysOf(gte, lt, false)).toEqual(keys);
    expect(keysOf(gte, lt, true)).toEqual([...keys].reverse());
    engine.deleteRange(rows.liveRange({ start: filled(1024, 0), end: filled(1024, 1) }));
    expect(keysOf(gte, lt, false)).toEqual(keys.slice(1));
  });

  it('a key that no page can hold is refused alone: the batch goes on, and reads miss it', () => {
    const longest = filled(KEY_BYTES_MAX, 1);
    const tooLong = filled(KEY_BYTES_MAX + 1, 1);
    const batch = engine.batch().put(longest, bytes('v'));
    expect(() => batch.put(tooLong, bytes('v'))).toThrow(/a key of 4026 bytes is longer than 4025/);
    batch.del(tooLong).write();
    expect(engine.get(longest)).toEqual(bytes('v'));
    expect(engine.get(tooLong)).toBeUndefined();
  });

  it('bounds longer than any key split a range where they stand', () => {
    const longest = filled(KEY_BYTES_MAX, 5);
    const [below, above] = [filled(2, 5), filled(2, 6)];
    const batch = engine.batch();
    for (const key of [below, longest, above]) batch.put(key, bytes('v'));
    batch.write();
    const bound = filled(KEY_BYTES_MAX + 10, 5);
    for (const reverse of [false, true]) {
      expect(keysOf(bytes(''), bound, reverse)).toHaveLength(2);
      expect(keysOf(bound, bytes('\xff'), reverse)).toEqual([above]);
    }
    engine.deleteRange({ gte: bound, lt: bytes('\xff') });
    expect(keysOf(bytes(''), bytes('\xff'), false)).toEqual([below, longest]);
  });
});

describe('views of lmdb', () => {
  it('a view on what is not yet committed keeps its moment and its place over the next write', async () => {
    const engine = await openLmdbEngine({ directory });
    const letters = ['a', 'b', 'c', 'd'];
    const put = (value: string): void => {
      const batch = engine.batch();
      for (const letter of letters) batch.put(bytes(letter), bytes(value));
      batch.write();
    };
    for (const reverse of [false, true]) {
      for (const content of ['entries', 'keys', 'values'] as const) {
        put('old');
        const whole = readRange(engine, { ...EVERYTHING, reverse, content });
        for (const rowsBefore of [0, 1, 3]) {
          put('old');
          const view = engine.iterator({ ...EVERYTHING, reverse, content });
          const before = rowsBefore === 0 ? [] : view.read(rowsBefore).items;
          put('new');
          engine.deleteRange({ gte: bytes('b'), lt: bytes('d') });
          const after = view.read(100).items;
          view.close();
          expect([...before, ...after].map((item) => item.toString('latin1'))).toEqual(whole);
        }
      }
    }
    await engine.close();
  });

  it('a view outlives commits and recovery points, and what it shows stays whole', async () => {
    const engine = await openLmdbEngine({ directory, pagesPerRecoveryPoint: 64 });
    const put = (value: string): void => {
      for (let from = 0; from < 4_000; from += 500) {
        const batch = engine.batch();
        for (let at = from; at < from + 500; at += 1) batch.put(bytes(`key${at}`), bytes(value));
        batch.write();
      }
    };
    put('0'.repeat(100));
    const view = engine.iterator({ ...EVERYTHING, content: 'values' });
    for (let round = 1; round < 6; round += 1) {
      put(String(round).repeat(100));
      await engine.sync();
    }
    const { items, done } = view.read(10_000);
    expect(items).toHaveLength(4_000);
    expect(done || view.read(1).done).toBe(true);
    expect(items.every((item) => item.equals(bytes('0'.repeat(100))))).toBe(true);
    view.close();
    await engine.close();
  });
});

describe('a range delete of many rows on lmdb', () => {
  const ROWS = 5_500;
  const doomed = { gte: bytes('b'), lt: bytes('c') };

  async function filled(): Promise<Engine> {
    const engine = await openLmdbEngine({ directory });
    const batch = engine.batch().put(bytes('a'), bytes('kept')).put(bytes('c'), bytes('kept'));
    for (let at = 0; at < ROWS; at += 1) batch.put(bytes(`b${at}`), bytes('v'));
    batch.write();
    return engine;
  }

  it('lets the loop go on, and removes all of them without being asked again', async () => {
    const engine = await filled();
    engine.deleteRange(doomed);
    expect(engine.properties().rows).toBeGreaterThan(ROWS / 2);
    await vi.waitFor(() => expect(engine.properties().rows).toBe(2), { timeout: 20_000 });
    expect(readRange(engine, EVERYTHING)).toEqual(['a', 'kept', 'c', 'kept']);
    await engine.close();
  });

  it('is seen at once, by every kind of read, and spares what is written afterwards', async () => {
    const looks: ((engine: Engine) => unknown)[] = [
      (engine) => engine.get(bytes('b5499')),
      (engine) => engine.getMany([bytes('a'), bytes('b5499')])[1],
      (engine) => readRange(engine, { ...doomed, gte: bytes('b5') })[0],
      (engine) =>
        readRange(engine, { ...EVERYTHING, reverse: true, content: 'keys' })[1] === 'b999',
    ];
    const engine = await filled();
    for (const look of looks) {
      const batch = engine.batch();
      for (let at = 0; at < ROWS; at += 1) batch.put(bytes(`b${at}`), bytes('v'));
      batch.write();
      engine.deleteRange(doomed);
      expect(look(engine) ?? false).toBe(false);
      engine.batch().put(bytes('b7'), bytes('new')).write();
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(readRange(engine, doomed)).toEqual(['b7', 'new']);
    }
    await engine.close();
  });

  it('is finished by the next opening when it was cut short', async () => {
    const engine = await filled();
    engine.deleteRange(doomed);
    await engine.close();
    const again = await openLmdbEngine({ directory });
    expect(again.properties().rows).toBeGreaterThan(ROWS / 2);
    expect(again.get(bytes('b5499'))).toBeUndefined();
    expect(readRange(again, EVERYTHING)).toEqual(['a', 'kept', 'c', 'kept']);
    await again.close();
  });
});

describe('the folder of lmdb', () => {
  it('a second engine on the same directory is refused as locked, and may try again', async () => {
    const first = await openLmdbEngine({ directory });
    const second = openLmdbEngine({ directory });
    await expect(second).rejects.toMatchObject({ code: 'ENGINE_LOCKED', retryable: true });
    await first.close();
    await (await openLmdbEngine({ directory })).close();
  });

  it('a directory that cannot be made is refused with a code and the cause', async () => {
    await writeFile(join(directory, 'file'), 'not a directory');
    const failing = openLmdbEngine({ directory: join(directory, 'file', 'data') });
    await expect(failing).rejects.toMatchObject({
      name: 'EngineError',
      code: 'ENGINE_OPEN_FAILED',
    });
  });

  it('a folder that another engine made is refused by name, and is as it was', async () => {
    const key = bytes('key');
    const rocks = await openRocksEngine({ directory });
    rocks.batch().put(key, key).write();
    await rocks.close();
    const asLmdb = openLmdbEngine({ directory });
    await expect(asLmdb).rejects.toMatchObject({ code: 'ENGINE_OPEN_FAILED' });
    await expect(asLmdb).rejects.toThrow(/holds the tables of the engine rocksdb, not of lmdb/);
    const again = await openRocksEngine({ directory });
    expect(again.get(key)).toEqual(key);
    await again.close();

    const other = join(directory, 'other');
    await (await openLmdbEngine({ directory: other })).close();
    await expect(openRocksEngine({ directory: other })).rejects.toThrow(
      /engine lmdb, not of rocksdb/,
    );
    await (await openLmdbEngine({ directory: other })).close();
  });

  it('opening, using and closing thirty times in one process never leaves the lock behind', async () => {
    for (let round = 0; round < 30; round += 1) {
      const engine = await openLmdbEngine({ directory });
      const key = Buffer.from([round]);
      engine.batch().put(key, key).write();
      engine.iterator(EVERYTHING).read(10);
      await Promise.all([engine.sync(), engine.close()]);
    }
    const engine = await openLmdbEngine({ directory });
    expect(engine.get(Buffer.from([29]))).toEqual(Buffer.from([29]));
    await engine.close();
  });
});
