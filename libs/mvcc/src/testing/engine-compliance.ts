/**
 * What every adapter of the engine port must do, as one suite.
 *
 * In: how to open an empty engine, and for adapters that keep data how to open it again. Out: Vitest
 * tests registered under the adapter's name. It must never rely on what only one adapter does.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Engine, type EngineIteratorOptions } from '../engine/engine.js';
import { EngineError } from '../engine/engine-error.js';

export interface EngineUnderTest {
  engine: Engine;
  /** Opens the same data again after `close`; absent when closing forgets it. */
  reopen?: () => Promise<Engine>;
  /** Removes what the engine left behind; called after it was closed. */
  cleanUp?: () => Promise<void>;
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const EVERYTHING = { gte: bytes(''), lt: bytes('\xff\xff\xff\xff') };

function putAll(engine: Engine, pairs: Iterable<readonly [string, string]>): void {
  const batch = engine.batch();
  for (const [key, value] of pairs) batch.put(bytes(key), bytes(value));
  batch.write();
}

/** Reads a range to its end in pages and closes it. */
export function readRange(engine: Engine, options: EngineIteratorOptions, rowsMax = 3): string[] {
  const iterator = engine.iterator(options);
  const items: string[] = [];
  for (;;) {
    const page = iterator.read(rowsMax);
    items.push(...page.items.map((item) => item.toString('latin1')));
    if (page.done) break;
  }
  iterator.close();
  return items;
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof EngineError ? error.code : `not an EngineError: ${String(error)}`;
  }
  return 'nothing thrown';
}

export function engineCompliance(name: string, open: () => Promise<EngineUnderTest>): void {
  describe(`engine compliance: ${name}`, () => {
    let tested: EngineUnderTest;
    let engine: Engine;

    beforeEach(async () => {
      tested = await open();
      engine = tested.engine;
    });
    afterEach(async () => {
      await engine.close();
      await tested.cleanUp?.();
    });

    const current = (): Engine => engine;
    pointTests(current);
    batchTests(current);
    rangeTests(current);
    viewTests(current);
    deleteRangeTests(current);
    closeTests(current);

    it('what was synced and closed is there after opening again', async (context) => {
      if (tested.reopen === undefined) return context.skip('this adapter forgets on close');
      putAll(engine, [['a', '1']]);
      await engine.sync();
      putAll(engine, [['b', '2']]);
      await engine.close();
      engine = await tested.reopen();
      expect(readRange(engine, EVERYTHING)).toEqual(['a', '1', 'b', '2']);
    });
  });
}

function pointTests(engine: () => Engine): void {
  it('a key that was never written has no value', () => {
    expect(engine().get(bytes('nothing'))).toBeUndefined();
  });

  it('every byte survives in keys and in values, empty ones included', () => {
    const allBytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    const batch = engine().batch();
    batch.put(allBytes, allBytes).put(bytes('\0'), bytes('')).put(bytes(''), bytes('\0'));
    batch.write();
    expect(engine().get(allBytes)).toEqual(allBytes);
    expect(engine().get(bytes('\0'))).toEqual(bytes(''));
    expect(engine().get(bytes(''))).toEqual(bytes('\0'));
  });

  it('many reads at once answer in the order of the keys', () => {
    putAll(engine(), [
      ['a', '1'],
      ['c', '3'],
    ]);
    const values = engine().getMany([bytes('c'), bytes('b'), bytes('a'), bytes('c')]);
    expect(values.map((value) => value?.toString())).toEqual(['3', undefined, '1', '3']);
    expect(engine().getMany([])).toEqual([]);
  });

  it('a value handed out is a copy: changing it changes nothing stored', () => {
    putAll(engine(), [['a', 'value']]);
    engine().get(bytes('a'))?.fill(0);
    expect(engine().get(bytes('a'))).toEqual(bytes('value'));
  });
}

function batchTests(engine: () => Engine): void {
  it('a batch is invisible before it is written and whole afterwards', () => {
    putAll(engine(), [['old', '1']]);
    const batch = engine().batch().put(bytes('new'), bytes('2')).del(bytes('old'));
    expect(batch.length).toBe(2);
    expect(readRange(engine(), EVERYTHING)).toEqual(['old', '1']);
    batch.write();
    expect(readRange(engine(), EVERYTHING)).toEqual(['new', '2']);
  });

  it('later changes of a batch win over earlier ones', () => {
    const batch = engine().batch();
    batch.put(bytes('a'), bytes('1')).put(bytes('a'), bytes('2')).del(bytes('b'));
    batch.put(bytes('b'), bytes('3')).put(bytes('c'), bytes('4')).del(bytes('c'));
    batch.write();
    expect(readRange(engine(), EVERYTHING)).toEqual(['a', '2', 'b', '3']);
  });

  it('buffers given to a batch may change right after the call', () => {
    const key = bytes('key');
    const value = bytes('value');
    const batch = engine().batch().put(key, value);
    key.fill(0);
    value.fill(0);
    batch.write();
    expect(readRange(engine(), EVERYTHING)).toEqual(['key', 'value']);
  });

  it('a batch that was closed leaves no trace in the next ones', () => {
    engine().batch().put(bytes('lost'), bytes('1')).close();
    for (let round = 0; round < 10; round += 1) putAll(engine(), [[`k${round}`, 'v']]);
    expect(engine().get(bytes('lost'))).toBeUndefined();
    expect(readRange(engine(), { ...EVERYTHING, content: 'keys' })).toHaveLength(10);
  });

  it('an ended batch refuses more changes, and closing it again is harmless', () => {
    const batch = engine().batch().put(bytes('a'), bytes('1'));
    batch.write();
    expect(codeOf(() => batch.put(bytes('b'), bytes('2')))).toBe('ENGINE_CLOSED');
    expect(codeOf(() => batch.write())).toBe('ENGINE_CLOSED');
    batch.close();
    batch.close();
  });
}

const LETTERS = ['a', 'b', 'c', 'd', 'e'] as const;

function rangeTests(engine: () => Engine): void {
  const fill = (): void =>
    putAll(
      engine(),
      LETTERS.map((letter) => [letter, letter.toUpperCase()]),
    );
  const keys = (options: Partial<EngineIteratorOptions>, rowsMax?: number): string[] =>
    readRange(engine(), { ...EVERYTHING, content: 'keys', ...options }, rowsMax);

  it('a range holds its start and not its end, in byte order', () => {
    fill();
    expect(keys({ gte: bytes('b'), lt: bytes('d') })).toEqual(['b', 'c']);
    putAll(engine(), [
      ['\xff', 'high'],
      ['\0', 'low'],
      ['b\0', 'between'],
    ]);
    expect(keys({})).toEqual(['\0', 'a', 'b', 'b\0', 'c', 'd', 'e', '\xff']);
  });

  it('a range in reverse is the same range backwards', () => {
    fill();
    for (const [gte, lt] of [
      ['b', 'd'],
      ['', 'zz'],
      ['bb', 'dd'],
      ['e', 'e'],
    ] as const) {
      const range = { gte: bytes(gte), lt: bytes(lt) };
      expect(keys({ ...range, reverse: true })).toEqual(keys(range).reverse());
    }
  });

  it('an empty, reversed or missed range ends at once', () => {
    fill();
    expect(keys({ gte: bytes('c'), lt: bytes('c') })).toEqual([]);
    expect(keys({ gte: bytes('d'), lt: bytes('b') })).toEqual([]);
    expect(keys({ gte: bytes('d'), lt: bytes('b'), reverse: true })).toEqual([]);
    expect(keys({ gte: bytes('x'), lt: bytes('y') })).toEqual([]);
  });

  it('a page never holds more rows than asked for, and reading on misses none', () => {
    fill();
    for (let rowsMax = 1; rowsMax <= 6; rowsMax += 1) {
      const iterator = engine().iterator(EVERYTHING);
      expect(iterator.read(rowsMax).items.length).toBeLessThanOrEqual(rowsMax * 2);
      iterator.close();
      expect(keys({}, rowsMax)).toEqual([...LETTERS]);
    }
  });

  it('a page ends soon after its bound of bytes, and reading on misses none', () => {
    const rows = Array.from(
      { length: 50 },
      (_, at) => [`key${100 + at}`, 'x'.repeat(1000)] as const,
    );
    putAll(engine(), rows);
    const iterator = engine().iterator({ ...EVERYTHING, pageBytesMax: 5000 });
    const page = iterator.read(1000);
    expect(page.done).toBe(false);
    expect(page.items.length / 2).toBeLessThanOrEqual(6);
    iterator.close();
    expect(keys({ pageBytesMax: 10 }, 1000)).toHaveLength(50);
  });

  it('keys, values or both are read as asked', () => {
    fill();
    const range = { gte: bytes('a'), lt: bytes('c') };
    expect(readRange(engine(), range)).toEqual(['a', 'A', 'b', 'B']);
    expect(readRange(engine(), { ...range, content: 'keys' })).toEqual(['a', 'b']);
    expect(readRange(engine(), { ...range, content: 'values' })).toEqual(['A', 'B']);
  });
}

function viewTests(engine: () => Engine): void {
  it('an open range view shows the moment it was opened, whatever is written meanwhile', () => {
    putAll(
      engine(),
      LETTERS.map((letter) => [letter, 'old']),
    );
    const iterator = engine().iterator(EVERYTHING);
    const first = iterator.read(1).items;
    putAll(engine(), [
      ['b', 'new'],
      ['bb', 'new'],
    ]);
    engine().deleteRange({ gte: bytes('c'), lt: bytes('z') });
    const rest = iterator.read(100).items;
    expect([...first, ...rest].map(String)).toEqual(LETTERS.flatMap((letter) => [letter, 'old']));
    iterator.close();
    expect(readRange(engine(), EVERYTHING)).toEqual(['a', 'old', 'b', 'new', 'bb', 'new']);
  });

  it('a closed range view refuses to read, and closing it again is harmless', () => {
    const iterator = engine().iterator(EVERYTHING);
    iterator.close();
    iterator.close();
    expect(codeOf(() => iterator.read(1))).toBe('ENGINE_CLOSED');
  });

  it('many views opened and closed leave the engine as it was', () => {
    putAll(engine(), [['a', '1']]);
    for (let round = 0; round < 500; round += 1) engine().iterator(EVERYTHING).close();
    expect(readRange(engine(), EVERYTHING)).toEqual(['a', '1']);
  });
}

function deleteRangeTests(engine: () => Engine): void {
  it('a range delete removes its start and spares its end', () => {
    putAll(
      engine(),
      LETTERS.map((letter) => [letter, '1']),
    );
    engine().deleteRange({ gte: bytes('b'), lt: bytes('d') });
    expect(readRange(engine(), { ...EVERYTHING, content: 'keys' })).toEqual(['a', 'd', 'e']);
    expect(engine().get(bytes('b'))).toBeUndefined();
    engine().deleteRange({ gte: bytes('d'), lt: bytes('d') });
    engine().deleteRange({ gte: bytes('e'), lt: bytes('a') });
    expect(readRange(engine(), { ...EVERYTHING, content: 'keys' })).toEqual(['a', 'd', 'e']);
  });

  it('what is written after a range delete stays', () => {
    putAll(engine(), [['b', 'old']]);
    engine().deleteRange(EVERYTHING);
    putAll(engine(), [['b', 'new']]);
    expect(readRange(engine(), EVERYTHING)).toEqual(['b', 'new']);
  });
}

function closeTests(engine: () => Engine): void {
  it('properties are figures that are not negative', () => {
    putAll(engine(), [['a', '1']]);
    const figures = Object.values(engine().properties()).map(Number);
    expect(figures.length).toBeGreaterThan(0);
    for (const figure of figures) expect(figure).toBeGreaterThanOrEqual(0);
  });

  it('nothing holds up writes after a few small ones', () => {
    putAll(engine(), [['a', '1']]);
    expect(engine().isBehind()).toBe(false);
  });

  it('closing waits for a running sync, closes open views and can be repeated', async () => {
    putAll(engine(), [['a', '1']]);
    const iterator = engine().iterator(EVERYTHING);
    const syncing = engine().sync();
    await Promise.all([engine().close(), engine().close(), syncing]);
    await engine().close();
    expect(engine().isOpen).toBe(false);
    expect(codeOf(() => iterator.read(1))).toBe('ENGINE_CLOSED');
    iterator.close();
  });

  it('every use after closing is refused with a code', async () => {
    const batch = engine().batch().put(bytes('a'), bytes('1'));
    await engine().close();
    expect(codeOf(() => engine().get(bytes('a')))).toBe('ENGINE_CLOSED');
    expect(codeOf(() => engine().getMany([bytes('a')]))).toBe('ENGINE_CLOSED');
    expect(codeOf(() => engine().iterator(EVERYTHING))).toBe('ENGINE_CLOSED');
    expect(codeOf(() => engine().batch())).toBe('ENGINE_CLOSED');
    expect(codeOf(() => batch.write())).toBe('ENGINE_CLOSED');
    expect(codeOf(() => engine().deleteRange(EVERYTHING))).toBe('ENGINE_CLOSED');
    expect(codeOf(() => engine().properties())).toBe('ENGINE_CLOSED');
    expect(codeOf(() => engine().isBehind())).toBe('ENGINE_CLOSED');
    await expect(engine().sync()).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
  });
}
