/**
 * The storage of a node on each engine that keeps its data, and an engine set later than the data.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@flotilla/platform';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { kvNodeSchema, type KvNodeConfig } from '../config/kv-node-config.js';
import { closeNodeStorage, openNodeStorage } from './node-storage.js';

const KEY = Buffer.from('key');
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flotilla-storage-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function configured(engine: string): KvNodeConfig {
  const argv = [`--storage.engine=${engine}`, `--data-dir=${folder}`];
  const inputs = { argv, environment: {}, cwd: folder, directories: [] };
  const outcome = loadConfig(kvNodeSchema('0.0.0'), inputs);
  if (outcome.kind !== 'loaded') throw new Error('the configuration was refused');
  return outcome.loaded.config;
}

it.each(['rocksdb', 'lmdb'])(
  'what was synced in %s is there at the next start, and the log counts on it',
  async (engine) => {
    const first = await openNodeStorage(configured(engine));
    expect(first.engineIsDurable).toBe(true);
    first.engine.batch().put(KEY, Buffer.from(engine)).write();
    await first.engine.sync();
    await closeNodeStorage(first);
    const second = await openNodeStorage(configured(engine));
    expect(second.engine.get(KEY)?.toString()).toBe(engine);
    await closeNodeStorage(second);
  },
);

it.each([
  ['rocksdb', 'lmdb'],
  ['lmdb', 'rocksdb'],
])(
  'a folder that %s made is refused to %s, by name, and nothing stays locked',
  async (one, other) => {
    await closeNodeStorage(await openNodeStorage(configured(one)));
    await expect(openNodeStorage(configured(other))).rejects.toThrow(
      `holds the tables of the engine ${one}, not of ${other}: set storage.engine to ${one}`,
    );
    await closeNodeStorage(await openNodeStorage(configured(one)));
  },
);
