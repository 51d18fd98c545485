/**
 * The engine that writes a moment later, under the compliance suite with every kind of moment, and
 * what only it does.
 */
import { describe, expect, it } from 'vitest';
import { engineCompliance } from '../testing/engine-compliance.js';
import { type Engine, type EngineBatch } from './engine.js';
import { EngineError } from './engine-error.js';
import { openMemoryEngine } from './memory/memory-engine.js';
import { WriteBehindEngine } from './write-behind-engine.js';

const unexpected = (error: unknown) => expect.unreachable(String(error));
const never = () => undefined;

engineCompliance('write-behind, at the end of the tick', async () => {
  const engine = openMemoryEngine();
  return { engine: new WriteBehindEngine(engine, { defer: queueMicrotask, onFailed: unexpected }) };
});

engineCompliance('write-behind, when it must', async () => {
  const engine = openMemoryEngine();
  return { engine: new WriteBehindEngine(engine, { defer: never, onFailed: unexpected }) };
});

describe('an engine that writes a moment later', () => {
  const key = Buffer.from('key');
  const value = Buffer.from('value');

  /** An engine, what it was told to do later, and what was told of failures. */
  function given(inner: Engine = openMemoryEngine()) {
    const tasks: (() => void)[] = [];
    const failures: unknown[] = [];
    const engine = new WriteBehindEngine(inner, {
      defer: (task) => tasks.push(task),
      onFailed: (error) => failures.push(error),
    });
    return { inner, engine, tasks, failures };
  }

  it('has not written when `write` returns, and has when the deferred task was done', () => {
    const { inner, engine, tasks } = given();
    engine.batch().put(key, value).write();
    expect(inner.get(key)).toBeUndefined();
    expect(tasks).toHaveLength(1);
    tasks[0]?.();
    expect(inner.get(key)).toEqual(value);
  });

  it('keeps one batch at most: the second one finds the first written', () => {
    const { inner, engine, tasks } = given();
    engine.batch().put(key, value).write();
    engine.batch().del(key).write();
    expect(inner.get(key)).toEqual(value);
    expect(tasks).toHaveLength(1);
    tasks[0]?.();
    expect(inner.get(key)).toBeUndefined();
  });

  it.each([
    ['get', (engine: Engine) => void engine.get(key)],
    ['getMany', (engine: Engine) => void engine.getMany([key])],
    ['iterator', (engine: Engine) => engine.iterator({ gte: key, lt: Buffer.from('l') }).close()],
    ['deleteRange', (engine: Engine) => engine.deleteRange({ gte: value, lt: value })],
    ['sync', (engine: Engine) => engine.sync()],
    ['close', (engine: Engine) => engine.close()],
  ])('writes before %s', async (_name, use: (engine: Engine) => void | Promise<void>) => {
    const written: string[] = [];
    const { engine } = given(watched(openMemoryEngine(), () => written.push('batch')));
    engine.batch().put(key, value).write();
    expect(written).toEqual([]);
    await use(engine);
    expect(written).toEqual(['batch']);
  });

  it('a batch that cannot be written is told once, and whoever asks afterwards is refused', () => {
    const { engine, tasks, failures } = given(
      watched(openMemoryEngine(), () => {
        throw new Error('no space left');
      }),
    );
    engine.batch().put(key, value).write();
    tasks[0]?.();
    expect(failures).toEqual([expect.any(EngineError)]);
    expect(() => engine.get(key)).toThrow('a batch could not be written');
    expect(() => engine.batch().put(key, value).write()).toThrow('a batch could not be written');
    expect(failures).toHaveLength(1);
  });

  it('an engine that was closed below is left alone', async () => {
    const { inner, engine, tasks, failures } = given();
    engine.batch().put(key, value).write();
    await inner.close();
    tasks[0]?.();
    expect(failures).toEqual([]);
  });
});

/** An engine whose batches do something first when they are written. */
function watched(engine: Engine, before: () => void): Engine {
  return {
    get isOpen() {
      return engine.isOpen;
    },
    get: (key) => engine.get(key),
    getMany: (keys) => engine.getMany(keys),
    batch: () => watchedBatch(engine.batch(), before),
    iterator: (options) => engine.iterator(options),
    deleteRange: (range) => engine.deleteRange(range),
    sync: () => engine.sync(),
    properties: () => engine.properties(),
    isBehind: () => engine.isBehind(),
    close: () => engine.close(),
  };
}

function watchedBatch(batch: EngineBatch, before: () => void): EngineBatch {
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
      before();
      batch.write();
    },
    close: () => batch.close(),
  };
}
