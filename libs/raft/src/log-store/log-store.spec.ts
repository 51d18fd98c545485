import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { StorageError } from '../core/storage.js';
import { EntryType } from '../core/types.js';
import { LogStoreError, openLogStore } from './index.js';
import { confState, contentOf, entries, entry, temporaryDirectory } from './testing/fixtures.js';
import { UnsyncedFiles } from './testing/unsynced-files.js';
import type { LogBatch, LogStore, LogStoreOptions } from './types.js';

const SMALL: LogStoreOptions = { segmentBytesMax: 4096 };

let directory = temporaryDirectory();
let store: LogStore;

beforeEach(async () => {
  directory = temporaryDirectory();
  store = await openLogStore(directory.path, { files: new UnsyncedFiles(), ...SMALL });
});
afterEach(async () => {
  await store.close();
  directory.remove();
});

async function write(fill: (batch: LogBatch) => void): Promise<void> {
  const batch = store.batch();
  fill(batch);
  await store.write(batch);
}

async function reopen(options: LogStoreOptions = SMALL): Promise<void> {
  await store.close();
  store = await openLogStore(directory.path, { files: new UnsyncedFiles(), ...options });
}

describe('log store', () => {
  it('a fresh group is an empty log that begins at 1, and is not among the stored groups', () => {
    const log = store.group(7);
    expect([log.firstIndex(), log.lastIndex(), log.term(0)]).toEqual([1, 0, 0]);
    expect(log.initialState().hardState).toEqual({ term: 0, vote: 0, commit: 0 });
    expect(store.groups()).toEqual([]);
    expect(log.isStored).toBe(false);
    expect(() => log.snapshot()).toThrow(StorageError);
  });

  it('a batch is readable as soon as write was called, and the same after a restart', async () => {
    const batch = store.batch();
    batch.appendEntries(1, entries(1, 5, 2));
    batch.appendEntries(2, [{ ...entry(1, 1), type: EntryType.ConfChangeV2 }]);
    batch.setHardState(1, { term: 2, vote: 3, commit: 4 });
    batch.setConfState(1, 4, {
      voters: [1, 2 ** 52 + 1],
      learners: [3],
      votersOutgoing: [4, 5],
      learnersNext: [6],
      autoLeave: true,
    });
    const written = store.write(batch);
    expect(batch.isEmpty).toBe(true);
    const before = [contentOf(store.group(1)), contentOf(store.group(2))];
    expect(store.group(1).lastIndex()).toBe(5);
    await written;
    await reopen();
    expect([contentOf(store.group(1)), contentOf(store.group(2))]).toEqual(before);
    expect(store.group(1).confStateIndex()).toBe(4);
    expect(store.groups().sort()).toEqual([1, 2]);
    expect(store.stats().recovery.cutBytes).toBe(0);
  });

  it('large ids, indexes and terms survive', async () => {
    const far = 2 ** 53 - 10;
    await write((batch) => {
      batch.installSnapshot(far, { index: far, term: far, confState: confState(far) });
      batch.appendEntries(far, [entry(far + 1, far)]);
      batch.setHardState(far, { term: far, vote: far, commit: far + 1 });
    });
    const before = contentOf(store.group(far));
    await reopen();
    expect(contentOf(store.group(far))).toEqual(before);
    expect(store.group(far).term(far + 1)).toBe(far);
  });

  it('an append at or below the last index truncates the tail', async () => {
    await write((batch) => batch.appendEntries(1, entries(1, 10, 1)));
    await write((batch) => batch.appendEntries(1, entries(6, 7, 2)));
    expect(store.group(1).lastIndex()).toBe(7);
    expect([5, 6, 7].map((index) => store.group(1).term(index))).toEqual([1, 2, 2]);
    const before = contentOf(store.group(1));
    await reopen();
    expect(contentOf(store.group(1))).toEqual(before);
  });

  it('entries that are compacted already are skipped, a gap is refused for good', async () => {
    await write((batch) => {
      batch.appendEntries(1, entries(1, 5, 1));
      batch.compact(1, 4);
      batch.appendEntries(1, entries(3, 6, 1));
    });
    expect([store.group(1).firstIndex(), store.group(1).lastIndex()]).toEqual([5, 6]);
    await expect(write((batch) => batch.appendEntries(1, [entry(9, 1)]))).rejects.toMatchObject({
      code: 'invalid',
    });
    await expect(write((batch) => batch.compact(1, 5))).rejects.toMatchObject({ code: 'failed' });
  });

  it('compaction keeps the term of its point and answers compacted and unavailable', async () => {
    await write((batch) => {
      batch.appendEntries(1, entries(1, 6, 3));
      batch.compact(1, 4);
      batch.compact(1, 2);
    });
    for (let round = 0; round < 2; round++) {
      const log = store.group(1);
      expect([log.firstIndex(), log.lastIndex(), log.term(4)]).toEqual([5, 6, 3]);
      expect(() => log.term(3)).toThrow(expect.objectContaining({ code: 'compacted' }));
      expect(() => log.entries(4, 6, 1e9)).toThrow(expect.objectContaining({ code: 'compacted' }));
      expect(() => log.term(7)).toThrow(expect.objectContaining({ code: 'unavailable' }));
      expect(() => log.entries(5, 8, 1)).toThrow(expect.objectContaining({ code: 'unavailable' }));
      await reopen();
    }
    await write((batch) => batch.compact(1, 6));
    await reopen();
    expect([store.group(1).firstIndex(), store.group(1).lastTerm()]).toEqual([7, 3]);
    await write((batch) => batch.appendEntries(1, [entry(7, 4)]));
    expect(store.group(1).lastTerm()).toBe(4);
  });

  it('a snapshot drops the whole log and sets configuration and first index', async () => {
    await write((batch) => batch.appendEntries(1, entries(1, 6, 3)));
    await write((batch) =>
      batch.installSnapshot(1, { index: 40, term: 5, confState: confState(1, 2, 3) }),
    );
    await write((batch) => batch.appendEntries(1, [entry(41, 6)]));
    for (let round = 0; round < 2; round++) {
      const log = store.group(1);
      expect([log.firstIndex(), log.lastIndex(), log.term(40)]).toEqual([41, 41, 5]);
      expect(log.initialState().confState.voters).toEqual([1, 2, 3]);
      await reopen();
    }
  });

  it('a removed group is gone after a restart too, and can begin anew', async () => {
    await write((batch) => {
      batch.appendEntries(1, entries(1, 6, 3));
      batch.appendEntries(2, entries(1, 2, 3));
    });
    await write((batch) => batch.removeGroup(1));
    expect(store.groups()).toEqual([2]);
    await reopen();
    expect(store.groups()).toEqual([2]);
    await write((batch) => batch.appendEntries(1, entries(1, 1, 1)));
    await reopen();
    expect(store.group(1).lastIndex()).toBe(1);
  });

  it('entries stops at maxBytes of payload, and gives at least one', async () => {
    await write((batch) => {
      batch.appendEntries(1, [entry(1, 1, 'aaaa'), entry(2, 1, 'bbbb'), entry(3, 1, 'c')]);
    });
    const count = (maxBytes: number): number => store.group(1).entries(1, 4, maxBytes).length;
    expect([0, 4, 7, 8, 9, 1e9].map(count)).toEqual([1, 1, 1, 2, 3, 3]);
    expect(store.group(1).entries(2, 2, 10)).toEqual([]);
  });

  it('entries out of the cache come back from the files as they went in', async () => {
    await reopen({ segmentBytesMax: 64 * 1024, cacheBytesMax: 0 });
    const data = new Uint8Array(700).map((_, at) => at % 251);
    for (let index = 1; index <= 300; index++) {
      await write((batch) => {
        batch.appendEntries(1, [{ index, term: 1, type: EntryType.Normal, data }]);
        batch.appendEntries(2, [{ index, term: 1, type: EntryType.Normal, data: data.slice(1) }]);
      });
    }
    const read = store.group(1).entries(1, 301, Number.POSITIVE_INFINITY);
    expect(read.map(({ index }) => index)).toEqual(Array.from({ length: 300 }, (_, at) => at + 1));
    expect(read.every((one) => Buffer.compare(one.data, data) === 0)).toBe(true);
    expect(store.stats().diskReads).toBeGreaterThan(0);
    expect(store.stats().segments).toBeGreaterThan(5);
    expect(store.stats().cacheBytes).toBeLessThan(200 * 1024);
  });

  it('segments that nobody needs are dropped, the others are kept', async () => {
    await write((batch) => batch.appendEntries(9, entries(1, 3, 1)));
    await write((batch) => batch.setHardState(9, { term: 1, vote: 2, commit: 3 }));
    for (let index = 1; index <= 200; index++) {
      await write((batch) => batch.appendEntries(1, [entry(index, 1)]));
    }
    const before = store.stats();
    expect(await store.dropObsoleteSegments()).toBe(0);
    await write((batch) => batch.compact(1, 195));
    const freed = await store.dropObsoleteSegments();
    const after = store.stats();
    expect(freed).toBe(before.bytes - after.bytes);
    // Group 9 still needs the first segment; those between it and the last ones are gone.
    expect(before.segments).toBeGreaterThan(4);
    expect(after.segments).toBeLessThanOrEqual(3);
    const contents = [contentOf(store.group(1)), contentOf(store.group(9))];
    await reopen();
    expect([contentOf(store.group(1)), contentOf(store.group(9))]).toEqual(contents);
    expect(store.stats().segments).toBe(after.segments);
  });

  it('a batch that is larger than a segment gets a segment of its own size', async () => {
    const big = entry(1, 1, 'x'.repeat(20_000));
    await write((batch) => batch.appendEntries(1, [big]));
    await write((batch) => batch.appendEntries(1, [entry(2, 1)]));
    const before = contentOf(store.group(1));
    await reopen();
    expect(contentOf(store.group(1))).toEqual(before);
  });

  it('the snapshot comes from the provider that was set', () => {
    const snapshot = {
      data: new Uint8Array(1),
      metadata: { index: 1, term: 1, confState: confState(1) },
    };
    store.group(1).setSnapshotProvider(() => snapshot);
    expect(store.group(1).snapshot()).toBe(snapshot);
  });

  it('a group id that is no safe integer and a batch from elsewhere are refused', async () => {
    expect(() => store.group(-1)).toThrow(LogStoreError);
    expect(() => store.group(2 ** 60)).toThrow(LogStoreError);
    await expect(store.write({ ...store.batch() })).rejects.toMatchObject({ code: 'invalid' });
    await expect(openLogStore(directory.path, { segmentBytesMax: 8 })).rejects.toMatchObject({
      code: 'invalid',
    });
  });
});
