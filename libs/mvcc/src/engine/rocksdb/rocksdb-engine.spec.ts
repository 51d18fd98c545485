/**
 * The RocksDB adapter under the compliance suite, and what only it can get wrong.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { engineCompliance } from '../../testing/engine-compliance.js';
import { openRocksEngine } from './rocksdb-engine.js';

const newDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), 'flotilla-engine-'));
const SMALL = { blockCacheBytes: 1024 * 1024, memtableBudgetBytes: 4 * 1024 * 1024 };

engineCompliance('rocksdb', async () => {
  const directory = await newDirectory();
  return {
    engine: await openRocksEngine({ directory, ...SMALL }),
    reopen: () => openRocksEngine({ directory, ...SMALL }),
    cleanUp: () => rm(directory, { recursive: true, force: true }),
  };
});

describe('rocksdb', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await newDirectory();
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('a second engine on the same directory is refused as locked, and may try again', async () => {
    const first = await openRocksEngine({ directory, ...SMALL });
    const second = openRocksEngine({ directory, ...SMALL });
    await expect(second).rejects.toMatchObject({ code: 'ENGINE_LOCKED', retryable: true });
    await first.close();
    await (await openRocksEngine({ directory, ...SMALL })).close();
  });

  it('a directory that cannot be made is refused with a code and the cause', async () => {
    await writeFile(join(directory, 'file'), 'not a directory');
    const failing = openRocksEngine({ directory: join(directory, 'file', 'data'), ...SMALL });
    await expect(failing).rejects.toMatchObject({
      name: 'EngineError',
      code: 'ENGINE_OPEN_FAILED',
    });
  });

  it('opening, using and closing thirty times in one process never leaves the lock behind', async () => {
    for (let round = 0; round < 30; round += 1) {
      const engine = await openRocksEngine({ directory, ...SMALL });
      const key = Buffer.from([round]);
      engine.batch().put(key, key).write();
      engine.iterator({ gte: Buffer.alloc(0), lt: Buffer.from([255]) }).read(10);
      await Promise.all([engine.sync(), engine.close()]);
    }
    const engine = await openRocksEngine({ directory, ...SMALL });
    expect(engine.get(Buffer.from([29]))).toEqual(Buffer.from([29]));
    await engine.close();
  });

  it('a block cache the native layer cannot express is refused by name', async () => {
    const opening = openRocksEngine({ directory, blockCacheBytes: 2 ** 33 });
    await expect(opening).rejects.toThrow(/block cache of 8589934592 bytes/);
  });
});
