import { describe, expect, it } from 'vitest';

import type { SyncPlace } from './files.js';
import { SYNC_HERE_BYTES_MAX } from './frame-writer.js';
import { openLogStore } from './index.js';
import { contentOf, entries, entry } from './testing/fixtures.js';
import { type FileOperation, SimulatedFiles } from './testing/simulated-files.js';
import type { LogStore, LogStoreOptions } from './types.js';

const DIRECTORY = 'disk/raft';

function open(files: SimulatedFiles, options: LogStoreOptions = {}): Promise<LogStore> {
  return openLogStore(DIRECTORY, { segmentBytesMax: 8192, files, ...options });
}

function append(store: LogStore, index: number, sync = true, text?: string): Promise<void> {
  const batch = store.batch();
  batch.appendEntries(1, [entry(index, 1, text)]);
  return store.write(batch, { sync });
}

/** Keeps syncs in flight until `open` is called. */
function gateSyncs(files: SimulatedFiles): { open(): void } {
  let release = (): void => undefined;
  const gate = new Promise<void>((fulfil) => {
    release = fulfil;
  });
  files.syncGate = () => gate;
  return {
    open() {
      files.syncGate = () => Promise.resolve();
      release();
    },
  };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

const LOSE_ALL = (): number => 0;
const HERE: SyncPlace = { isHere: () => true, ended: () => undefined };

describe('durability', () => {
  it('nothing is acknowledged before its sync is done, and all of it survives after', async () => {
    const files = new SimulatedFiles();
    const store = await open(files);
    const gate = gateSyncs(files);
    let acknowledged = false;
    const written = append(store, 1).then(() => {
      acknowledged = true;
    });
    await settle();
    expect(acknowledged).toBe(false);
    gate.open();
    await written;
    const survived = await open(files.crash(LOSE_ALL));
    expect(survived.group(1).lastIndex()).toBe(1);
  });

  it('batches that arrive during a sync share the next one, and resolve in order', async () => {
    const files = new SimulatedFiles();
    const store = await open(files);
    await append(store, 1);
    const syncsBefore = files.counts.sync;
    const gate = gateSyncs(files);
    const order: number[] = [];
    const writes = [2, 3, 4, 5].map((index) =>
      append(store, index).then(() => {
        order.push(index);
      }),
    );
    await settle();
    gate.open();
    await Promise.all(writes);
    expect(files.counts.sync - syncsBefore).toBe(2);
    expect(order).toEqual([2, 3, 4, 5]);
    expect(store.stats()).toMatchObject({ syncs: 3, batches: 5, entries: 5, pendingBytes: 0 });
  });

  it('an unsynced batch costs no write and goes to disk with the next synced one', async () => {
    const files = new SimulatedFiles();
    const store = await open(files);
    await append(store, 1);
    const writesBefore = files.counts.write;
    const batch = store.batch();
    batch.setHardState(1, { term: 1, vote: 1, commit: 1 });
    await store.write(batch, { sync: false });
    expect(files.counts.write).toBe(writesBefore);
    expect(store.group(1).initialState().hardState.commit).toBe(1);
    await append(store, 2);
    const survived = await open(files.crash(LOSE_ALL));
    expect(survived.group(1).initialState().hardState.commit).toBe(1);
  });

  it('unsynced batches are written once they are more than the bound, and at close', async () => {
    const files = new SimulatedFiles();
    const store = await open(files, { heldBytesMax: 300 });
    await append(store, 1, false);
    await settle();
    expect(store.stats().syncs).toBe(0);
    for (let index = 2; index <= 6; index++) await append(store, index, false);
    await settle();
    expect(store.stats().syncs).toBeGreaterThan(0);
    await append(store, 7, false);
    await store.close();
    const survived = await open(files.crash(LOSE_ALL));
    expect(survived.group(1).lastIndex()).toBe(7);
  });

  it('an empty synced batch waits for all that was accepted before it', async () => {
    const files = new SimulatedFiles();
    const store = await open(files);
    await append(store, 1, false);
    await store.write(store.batch());
    expect((await open(files.crash(LOSE_ALL))).group(1).lastIndex()).toBe(1);
  });

  it('short writes are continued until all is written', async () => {
    const files = new SimulatedFiles();
    files.writeBytesMax = 7;
    const store = await open(files, { inlineWriteBytesMax: 50, segmentBytesMax: 400 });
    for (let index = 1; index <= 10; index++) await append(store, index);
    const before = contentOf(store.group(1));
    const survived = await open(files.crash(LOSE_ALL), { segmentBytesMax: 400 });
    expect(contentOf(survived.group(1))).toEqual(before);
  });

  it('too much that waits is refused as busy, and nothing of it is taken over', async () => {
    const files = new SimulatedFiles();
    const store = await open(files, { pendingBytesMax: 200 });
    const gate = gateSyncs(files);
    const first = append(store, 1);
    const second = append(store, 2);
    const batch = store.batch();
    batch.appendEntries(1, entries(3, 6, 1));
    await expect(store.write(batch)).rejects.toMatchObject({ code: 'busy', retryable: true });
    expect([batch.isEmpty, store.group(1).lastIndex()]).toEqual([false, 2]);
    gate.open();
    await Promise.all([first, second]);
    await store.write(batch);
    expect(store.group(1).lastIndex()).toBe(6);
  });

  it('whoever only waits for what was taken over is never refused, however much that is', async () => {
    const files = new SimulatedFiles();
    const store = await open(files, { pendingBytesMax: 200 });
    const gate = gateSyncs(files);
    const large = store.batch();
    large.appendEntries(1, entries(1, 20, 1));
    const first = store.write(large);
    const waits = store.write(store.batch());
    gate.open();
    await Promise.all([first, waits]);
    expect(store.group(1).lastIndex()).toBe(20);
  });
});

describe('a sync on the calling thread', () => {
  function counted(isHere: () => boolean) {
    const counts = { asked: 0, ended: 0 };
    const syncPlace: SyncPlace = {
      isHere: () => {
        counts.asked++;
        return isHere();
      },
      ended: () => void counts.ended++,
    };
    return { counts, syncPlace };
  }

  it('is on disk when the write is answered, as any other', async () => {
    for (let last = 1; last <= 20; last++) {
      const files = new SimulatedFiles();
      const { counts, syncPlace } = counted(() => true);
      const store = await open(files, { syncPlace });
      for (let index = 1; index <= last; index++) await append(store, index);
      expect(counts).toEqual({ asked: last, ended: last });
      expect(store.stats()).toMatchObject({ isWriting: false, pendingBytes: 0 });
      expect((await open(files.crash(LOSE_ALL))).group(1).lastIndex()).toBe(last);
    }
  });

  it('is done only where it is allowed, and never asked for of more than a few writes', async () => {
    const files = new SimulatedFiles();
    const { counts, syncPlace } = counted(() => false);
    const store = await open(files, { syncPlace });
    await append(store, 1);
    expect(counts).toEqual({ asked: 1, ended: 0 });
    const batch = store.batch();
    batch.appendEntries(1, entries(2, SYNC_HERE_BYTES_MAX / 16, 1));
    await store.write(batch);
    expect(counts).toEqual({ asked: 1, ended: 0 });
  });
});

describe('a failing disk', () => {
  async function failing(operation: FileOperation, nth: number): Promise<void> {
    const files = new SimulatedFiles();
    const options = {
      segmentBytesMax: 600,
      inlineWriteBytesMax: nth % 2 === 0 ? 0 : 1e6,
      ...(nth % 3 === 0 && { syncPlace: HERE }),
    };
    const store = await open(files, options);
    const start = files.counts[operation];
    files.onOperation = (kind, count) => {
      if (kind === operation && count === start + nth) throw new Error('ENOSPC: planned');
    };
    const acknowledged: number[] = [];
    const codes = new Set<string>();
    for (let index = 1; index <= 40; index++) {
      const outcome = await append(store, index).then(
        () => undefined,
        (error: { code: string }) => error.code,
      );
      if (outcome === undefined) acknowledged.push(index);
      else codes.add(outcome);
    }
    const last = acknowledged.at(-1) ?? 0;
    // Once one was refused, none after it was acknowledged.
    expect(acknowledged).toEqual(Array.from({ length: last }, (_, at) => at + 1));
    if (last < 40) {
      expect([...codes].sort()).toEqual(last === 39 ? ['io'] : ['failed', 'io']);
      await expect(store.dropObsoleteSegments()).rejects.toMatchObject({ code: 'failed' });
    }
    await store.close();
    const survived = await open(files.crash(LOSE_ALL), options);
    expect(survived.group(1).lastIndex()).toBeGreaterThanOrEqual(last);
    await survived.close();
  }

  it('acknowledges nothing after the nth write has failed', async () => {
    for (let nth = 1; nth <= 30; nth++) await failing('write', nth);
  });

  it('acknowledges nothing after the nth sync has failed, and does not try it again', async () => {
    for (let nth = 1; nth <= 30; nth++) await failing('sync', nth);
  });

  it('acknowledges nothing after a segment could not be made', async () => {
    for (let nth = 1; nth <= 4; nth++) await failing('create', nth);
    for (let nth = 1; nth <= 4; nth++) await failing('sync-directory', nth);
  });

  it('rejects the batch whose sync failed, those that gathered behind it, and all later ones', async () => {
    const files = new SimulatedFiles();
    const store = await open(files);
    const gate = gateSyncs(files);
    let fails = true;
    const inner = files.syncGate;
    files.syncGate = async () => {
      await inner();
      if (fails) throw new Error('EIO: planned');
    };
    const outcomes = [1, 2, 3].map((index) =>
      append(store, index).then(
        () => 'acknowledged',
        (error: { code: string }) => error.code,
      ),
    );
    await settle();
    const failingGate = files.syncGate;
    gate.open();
    files.syncGate = failingGate;
    expect(await Promise.all(outcomes)).toEqual(['io', 'failed', 'failed']);
    fails = false;
    const syncs = files.counts.sync;
    await expect(append(store, 4)).rejects.toMatchObject({ code: 'failed' });
    expect(files.counts.sync).toBe(syncs);
    await store.close();
    await expect(append(store, 5)).rejects.toMatchObject({ code: 'closed' });
  });

  it('what was read back after a failed sync survives the next power cut, like all before it', async () => {
    const files = new SimulatedFiles();
    const store = await open(files);
    await append(store, 1);
    files.onOperation = (kind) => {
      if (kind === 'sync') throw new Error('EIO: planned');
    };
    // Over several sectors, so that the next write does not take it along by chance.
    const failed = append(store, 2, true, 'long '.repeat(400));
    await expect(failed).rejects.toMatchObject({ code: 'io' });
    files.onOperation = () => undefined;
    await store.close();
    const again = await open(files);
    // The kernel shows it still, so from here on it counts.
    expect(again.group(1).lastIndex()).toBe(2);
    await append(again, 3);
    const survived = await open(files.crash(LOSE_ALL));
    expect(survived.group(1).lastIndex()).toBe(3);
  });

  it('a segment whose name was not synced keeps it once the log was opened again', async () => {
    const files = new SimulatedFiles();
    const options = { segmentBytesMax: 600 };
    const store = await open(files, options);
    let last = 0;
    files.onOperation = (kind) => {
      if (kind === 'sync-directory') throw new Error('EIO: planned');
    };
    while ((await append(store, last + 1).catch(() => 'refused')) !== 'refused') last++;
    files.onOperation = () => undefined;
    await store.close();
    const again = await open(files, options);
    await append(again, last + 1);
    const survived = await open(files.crash(LOSE_ALL), options);
    expect(survived.group(1).lastIndex()).toBe(last + 1);
  });

  it('a segment that could not be made ready leaves nothing behind, and is said to be missing', async () => {
    const files = new SimulatedFiles();
    const store = await open(files, { segmentBytesMax: 4096 });
    files.onOperation = (kind) => {
      const isPrepared = files.list(DIRECTORY).some((name) => name.endsWith('.prepared'));
      if (kind === 'write' && isPrepared) throw new Error('ENOSPC: planned');
    };
    for (let index = 1; store.stats().aheadFailure === undefined && index < 60; index++) {
      await append(store, index);
    }
    expect(store.stats().aheadFailure).toContain('ENOSPC');
    expect(files.list(DIRECTORY).filter((name) => name.endsWith('.prepared'))).toEqual([]);
    files.onOperation = () => undefined;
    const before = store.group(1).lastIndex();
    for (let more = 1; more <= 40; more++) await append(store, before + more);
    expect(store.stats()).toMatchObject({ segments: 2, aheadFailure: undefined });
  });

  it('a segment is not made ready where there is no room for it, and needs none yet', async () => {
    const files = new SimulatedFiles();
    const store = await open(files, { segmentBytesMax: 4096 });
    files.free = 4095;
    const creations = files.counts.create;
    for (let index = 1; store.stats().bytesWritten < 3000; index++) await append(store, index);
    expect(store.stats().aheadFailure).toBe(
      `a segment takes 4096 bytes, and 4095 are free in ${DIRECTORY}`,
    );
    expect(files.counts.create).toBe(creations);
  });

  it('close reports that what it had to write could not be written, and still lets go', async () => {
    const files = new SimulatedFiles();
    const store = await open(files);
    await append(store, 1);
    await append(store, 2, false);
    files.onOperation = (kind) => {
      if (kind === 'sync') throw new Error('EIO: planned');
    };
    await expect(store.close()).rejects.toMatchObject({ code: 'io' });
    files.onOperation = () => undefined;
    const again = await open(files);
    expect(again.group(1).lastIndex()).toBeGreaterThanOrEqual(1);
    await again.close();
  });
});

describe('close', () => {
  it('waits for what is in flight, can be called twice, and refuses writes after', async () => {
    const files = new SimulatedFiles();
    const store = await open(files);
    const gate = gateSyncs(files);
    const writes = [append(store, 1), append(store, 2)];
    const closed = store.close();
    expect(store.close()).toBe(closed);
    await expect(append(store, 3)).rejects.toMatchObject({ code: 'closed' });
    gate.open();
    await Promise.all(writes);
    await closed;
    expect((await open(files.crash(LOSE_ALL))).group(1).lastIndex()).toBe(2);
  });
});
