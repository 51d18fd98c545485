/** Rows of a chain are handed on before many of them wait: what a restore holds does not grow with their size. */
import { expect, it } from 'vitest';
import { readChain, readersOf } from '../src/index.js';
import { FakeCluster } from '../src/testing/index.js';
import { Bench, KEYS, NEVER } from './support/backups.js';

const ROWS = 40;
const VALUE_BYTES = 300_000;
/** A mebibyte, and the row that crosses the line. */
const BATCH_BYTES_MOST = 1024 * 1024 + VALUE_BYTES + 100;

it('large rows are handed on a few at a time, and all of them, in the order of keys', async () => {
  const cluster = new FakeCluster();
  const table = cluster.create('t');
  const bench = new Bench(cluster);
  const keys = Array.from({ length: ROWS }, (_, nth) => `key ${100 + nth}`);
  for (const key of keys) table.put(Buffer.from(key), Buffer.alloc(VALUE_BYTES, key));
  const manifest = await bench.create({ chunkBytes: 1024 * 1024 });
  const [part] = manifest.tables;
  if (!part) throw new Error('the backup has no table');
  const seen: string[] = [];
  for await (const batch of readChain(readersOf([manifest], part, bench.objects, KEYS), NEVER)) {
    const bytes = batch.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
    expect(bytes).toBeLessThanOrEqual(BATCH_BYTES_MOST);
    seen.push(...batch.map(({ key }) => key.toString()));
  }
  expect(seen).toEqual(keys);
});
