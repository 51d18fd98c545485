/** Reads that do not hold the calling thread: they give what the others give, or say what became of it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLogStore } from './index.js';
import { entries, temporaryDirectory } from './testing/fixtures.js';
import { UnsyncedFiles } from './testing/unsynced-files.js';
import type { LogStore } from './types.js';

const ALL = Number.POSITIVE_INFINITY;

let directory = temporaryDirectory();
let store: LogStore;

beforeEach(async () => {
  directory = temporaryDirectory();
  const files = new UnsyncedFiles();
  store = await openLogStore(directory.path, { files, segmentBytesMax: 4096, cacheBytesMax: 0 });
  // Many segments, each with entries of both groups, and nothing but the last of them in memory.
  for (let first = 1; first <= 200; first += 10) {
    const batch = store.batch();
    batch.appendEntries(1, entries(first, first + 9, 1));
    batch.appendEntries(2, entries(first, first + 9, 3));
    await store.write(batch);
  }
});
afterEach(async () => {
  await store.close();
  directory.remove();
});

async function compact(group: number, index: number): Promise<void> {
  const batch = store.batch();
  batch.compact(group, index);
  await store.write(batch);
  await store.dropObsoleteSegments();
}

describe('entries that are read later', () => {
  it('are those that a read at once gives, from files and from memory, within the bytes', async () => {
    const log = store.group(1);
    const before = store.stats().diskReads;
    expect(await log.entriesLater(1, 201, ALL)).toEqual(log.entries(1, 201, ALL));
    expect(store.stats().diskReads).toBeGreaterThan(before);
    expect(await log.entriesLater(40, 120, 300)).toEqual(log.entries(40, 120, 300));
    expect(await log.entriesLater(7, 8, 1)).toHaveLength(1);
    expect(await log.entriesLater(7, 7, 1)).toEqual([]);
  });

  it('are refused as compacted or not there as a read at once is', async () => {
    await compact(1, 50);
    await expect(store.group(1).entriesLater(50, 60, ALL)).rejects.toMatchObject({
      code: 'compacted',
    });
    await expect(store.group(1).entriesLater(190, 202, ALL)).rejects.toMatchObject({
      code: 'unavailable',
    });
  });

  it('whose files are deleted while they are read are given, or compacted: never damage', async () => {
    const log = store.group(1);
    const wanted = log.entries(1, 201, ALL);
    const reading = log.entriesLater(1, 201, ALL).catch((error: unknown) => error);
    const files = store.stats().segments;
    const cuts = [compact(1, 150), compact(2, 150)];
    const outcome = await reading;
    await Promise.all(cuts);
    expect(store.stats().segments).toBeLessThan(files);
    if (Array.isArray(outcome)) expect(outcome).toEqual(wanted);
    else expect(outcome).toMatchObject({ code: 'compacted' });
  });
});
