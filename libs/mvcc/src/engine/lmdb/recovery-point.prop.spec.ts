/**
 * A power failure between two recovery points: of what was written since, any blocks reached the disk
 * and the others did not. The store is found as it was at the point, whichever they are.
 */
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readRange } from '../../testing/engine-compliance.js';
import { type Engine } from '../engine.js';
import { openLmdbEngine } from './lmdb-engine.js';

const BLOCK_BYTES = 4096;
const NEVER = Number.MAX_SAFE_INTEGER;
const EVERYTHING = { gte: Buffer.alloc(0), lt: Buffer.from([255]) };
const DATA = 'data.mdb';
const POINT = 'recovery.point';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'flotilla-recovery-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** A small generator of numbers of its own, so that a failure replays. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Batches, range deletes and commits over a few hundred keys, so that pages are given away soon. */
function write(engine: Engine, batches: number, next: (below: number) => number): void {
  for (let at = 0; at < batches; at += 1) {
    const batch = engine.batch();
    for (let row = next(40); row >= 0; row -= 1) {
      const key = Buffer.from(`key${next(400)}`);
      if (next(4) === 0) batch.del(key);
      else batch.put(key, Buffer.alloc(next(10) === 0 ? next(20_000) : next(200), next(256)));
    }
    batch.write();
    if (next(10) === 0) {
      const from = next(400);
      engine.deleteRange({ gte: Buffer.from(`key${from}`), lt: Buffer.from(`key${from}9`) });
    }
    // A view that is open at the next write makes a commit of its own.
    if (next(3) === 0) {
      const view = engine.iterator(EVERYTHING);
      engine
        .batch()
        .put(Buffer.from('tick'), Buffer.from([next(256)]))
        .write();
      view.close();
    }
  }
}

/** What the disk holds when of all blocks that differ only some were written. */
function mixed(before: Buffer, after: Buffer, next: (below: number) => number): Buffer {
  const onDisk = Buffer.from(after);
  for (let at = 0; at < after.length; at += BLOCK_BYTES) {
    if (next(2) === 0) continue;
    onDisk.fill(0, at, at + BLOCK_BYTES);
    if (at < before.length) before.copy(onDisk, at, at, at + BLOCK_BYTES);
  }
  // The length of a file is written like its blocks.
  const grownBlocks = (after.length - before.length) / BLOCK_BYTES;
  return onDisk.subarray(0, before.length + next(grownBlocks + 1) * BLOCK_BYTES);
}

it('whatever blocks a power failure kept, what is found is the last recovery point', async () => {
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(2 ** 31), async (seed) => {
      const next = numbers(seed);
      round += 1;
      const [live, found] = [join(directory, `live${round}`), join(directory, `found${round}`)];
      const engine = await openLmdbEngine({ directory: live, pagesPerRecoveryPoint: NEVER });
      for (let point = next(3); point >= 0; point -= 1) {
        write(engine, 20, next);
        await engine.sync();
      }
      const expected = readRange(engine, EVERYTHING, 100);
      const before = await readFile(join(live, DATA));
      write(engine, 60, next);
      const after = await readFile(join(live, DATA));
      expect(after.equals(before)).toBe(false);
      await mkdir(found);
      await writeFile(join(found, DATA), mixed(before, after, next));
      await copyFile(join(live, POINT), join(found, POINT));
      await engine.close();

      const again = await openLmdbEngine({ directory: found });
      expect(readRange(again, EVERYTHING, 100)).toEqual(expected);
      // It is a store like any other: what is written to it now is there after the next opening.
      write(again, 20, next);
      const state = readRange(again, EVERYTHING, 100);
      await again.close();
      const third = await openLmdbEngine({ directory: found });
      expect(readRange(third, EVERYTHING, 100)).toEqual(state);
      await third.close();
    }),
    { numRuns: 15 },
  );
});

it('a store without its recovery point, or with a damaged one, is refused and left alone', async () => {
  const engine = await openLmdbEngine({ directory });
  write(engine, 200, numbers(7));
  await engine.close();
  const point = await readFile(join(directory, POINT));
  const data = await readFile(join(directory, DATA));
  const damaged = Buffer.from(point);
  damaged.writeUInt8(damaged.readUInt8(5_000) ^ 1, 5_000);
  await writeFile(join(directory, POINT), damaged);
  const corruption = { code: 'ENGINE_CORRUPTION' };
  await expect(openLmdbEngine({ directory })).rejects.toMatchObject(corruption);
  await rm(join(directory, POINT));
  await expect(openLmdbEngine({ directory })).rejects.toMatchObject(corruption);
  expect((await readFile(join(directory, DATA))).equals(data)).toBe(true);
  await writeFile(join(directory, POINT), point);
  await (await openLmdbEngine({ directory })).close();
});

it('a process that ended while it made the store left nothing, and the store is made anew', async () => {
  await (await openLmdbEngine({ directory })).close();
  await rm(join(directory, POINT));
  const engine = await openLmdbEngine({ directory });
  expect(readRange(engine, EVERYTHING)).toEqual([]);
  await engine.close();
  expect((await readdir(directory)).filter((name) => name.startsWith('lock-'))).toEqual([]);
});
