import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { LogFile } from './files.js';
import { FRAME_END_BYTES, FRAME_HEADER_BYTES, segmentFileName } from './format.js';
import { LogStoreError, openLogStore } from './index.js';
import { NodeLogFiles } from './node-files.js';
import { contentOf, entries, entry } from './testing/fixtures.js';
import { copyDisk, memoryDisk, realDisk } from './testing/log-disks.js';
import type { LogStore, LogStoreOptions } from './types.js';

const SEGMENT_BYTES = 16 * 1024;
const OPTIONS: LogStoreOptions = { segmentBytesMax: SEGMENT_BYTES };

/** Reads fail as they do on a bad disk: without the name of the file. */
class UnreadableFiles extends NodeLogFiles {
  fails = false;

  override open(path: string): LogFile {
    const file = super.open(path);
    const refuse = (): void => {
      if (this.fails) throw new Error('EIO: i/o error, read');
    };
    return {
      writeSync: (...values) => file.writeSync(...values),
      write: (...values) => file.write(...values),
      sync: () => file.sync(),
      syncHere: () => file.syncHere(),
      readSync: (...values) => {
        refuse();
        return file.readSync(...values);
      },
      read: async (...values) => {
        refuse();
        return file.read(...values);
      },
      sizeBytes: () => file.sizeBytes(),
      close: () => file.close(),
    };
  }
}

const DISKS = [
  ['in memory', memoryDisk],
  ['on real files', realDisk],
] as const;

let disk = memoryDisk();
afterEach(() => disk.dispose());

/** A closed log of three frames in one segment, and what it held before the last frame. */
interface Recorded {
  readonly file: string;
  readonly bytes: Buffer;
  /** Where the frames begin, and where the last one ends. */
  readonly offsets: readonly number[];
  readonly beforeLast: unknown;
  readonly complete: unknown;
}

function offsetAt(recorded: Recorded, frame: number): number {
  return recorded.offsets[frame] ?? Number.NaN;
}

async function record(): Promise<Recorded> {
  const store = await openLogStore(disk.directory, { ...OPTIONS, files: disk.files });
  const offsets = [32];
  const step = async (fill: (batch: ReturnType<LogStore['batch']>) => void): Promise<void> => {
    const batch = store.batch();
    fill(batch);
    await store.write(batch);
    offsets.push(32 + store.stats().bytesWritten);
  };
  await step((batch) => batch.appendEntries(1, entries(1, 3, 1)));
  await step((batch) => {
    batch.appendEntries(1, entries(4, 6, 2));
    batch.setHardState(1, { term: 2, vote: 1, commit: 3 });
  });
  const beforeLast = contentOf(store.group(1));
  await step((batch) => {
    batch.appendEntries(1, entries(5, 7, 3));
    batch.setHardState(1, { term: 3, vote: 2, commit: 4 });
  });
  const complete = contentOf(store.group(1));
  await store.close();
  const file = join(disk.directory, segmentFileName(1));
  return { file, bytes: disk.read(file), offsets, beforeLast, complete };
}

type Outcome = { readonly content: unknown; readonly cutBytes: number } | LogStoreError;

async function openAgain(extra: LogStoreOptions = {}): Promise<Outcome> {
  let store: LogStore;
  try {
    store = await openLogStore(disk.directory, { ...OPTIONS, files: disk.files, ...extra });
  } catch (error) {
    if (error instanceof LogStoreError) return error;
    throw error;
  }
  const outcome = {
    content: contentOf(store.group(1)),
    cutBytes: store.stats().recovery.cutBytes,
  };
  await store.close();
  return outcome;
}

function changed(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  return copy;
}

describe.each(DISKS)('a torn tail, %s', (_where, open) => {
  beforeEach(() => {
    disk = open();
  });

  it('is cut wherever the file ends within the last batch, and the log can be written on', async () => {
    const recorded = await record();
    const start = offsetAt(recorded, 2);
    for (const end of disk.positions(start, offsetAt(recorded, 3))) {
      disk.write(recorded.file, recorded.bytes.subarray(0, end));
      const outcome = await openAgain();
      expect(outcome, `cut at ${end}`).toMatchObject({ content: recorded.beforeLast });
      // Zeros at the very end of what is left are not told from unwritten space.
      const { cutBytes } = outcome as { cutBytes: number };
      expect(cutBytes).toBeLessThanOrEqual(end - start);
      expect(cutBytes > 0, `cut at ${end}`).toBe(end > start);
    }
    const store = await openLogStore(disk.directory, { ...OPTIONS, files: disk.files });
    const batch = store.batch();
    batch.appendEntries(1, [entry(7, 9)]);
    await store.write(batch);
    const written = contentOf(store.group(1));
    await store.close();
    expect(await openAgain()).toEqual({ content: written, cutBytes: 0 });
  });

  it('is cut wherever zeros begin within the last batch', async () => {
    const recorded = await record();
    const start = offsetAt(recorded, 2);
    for (const torn of disk.positions(start + 1, offsetAt(recorded, 3))) {
      disk.write(
        recorded.file,
        changed(recorded.bytes, (copy) => copy.fill(0, torn)),
      );
      const outcome = await openAgain();
      expect(outcome, `zeros from ${torn}`).toMatchObject({ content: recorded.beforeLast });
      expect(outcome).not.toMatchObject({ cutBytes: 0 });
      // The cut is made good on disk: a second opening finds nothing to cut.
      expect(await openAgain()).toEqual({ content: recorded.beforeLast, cutBytes: 0 });
    }
  });

  it('is cut when a whole sector of a larger last batch did not arrive', async () => {
    const store = await openLogStore(disk.directory, { ...OPTIONS, files: disk.files });
    const first = store.batch();
    first.appendEntries(1, entries(1, 2, 1));
    await store.write(first);
    const before = contentOf(store.group(1));
    const start = 32 + store.stats().bytesWritten;
    const second = store.batch();
    second.appendEntries(1, [entry(3, 1, 'x'.repeat(3000))]);
    await store.write(second);
    const end = 32 + store.stats().bytesWritten;
    await store.close();
    const file = join(disk.directory, segmentFileName(1));
    const bytes = disk.read(file);
    for (const sector of disk.positions(0, end, 512)) {
      const from = Math.max(start, sector);
      const to = Math.min(end, sector + 512);
      if (from >= to) continue;
      disk.write(
        file,
        changed(bytes, (copy) => copy.fill(0, from, to)),
      );
      const outcome = await openAgain();
      expect(outcome, `sector at ${sector}`).toMatchObject({ content: before });
    }
  });
});

describe.each(DISKS)('damage, %s', (_where, open) => {
  beforeEach(() => {
    disk = open();
  });

  it('of any byte before the last batch refuses to open, and the file stays as it is', async () => {
    const recorded = await record();
    for (const at of disk.positions(0, offsetAt(recorded, 2))) {
      const flipped = changed(recorded.bytes, (copy) => {
        copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
      });
      disk.write(recorded.file, flipped);
      const outcome = await openAgain();
      expect(outcome, `byte ${at}`).toBeInstanceOf(LogStoreError);
      expect((outcome as LogStoreError).code).toMatch(/^(corrupt|unsupported-version)$/);
      expect(disk.read(recorded.file).equals(flipped)).toBe(true);
    }
    disk.write(recorded.file, recorded.bytes);
    expect(await openAgain()).toEqual({ content: recorded.complete, cutBytes: 0 });
  });

  it('of any byte of the last batch refuses to open unless the operator accepts the cut', async () => {
    const recorded = await record();
    for (const at of disk.positions(offsetAt(recorded, 2), offsetAt(recorded, 3))) {
      const flipped = changed(recorded.bytes, (copy) => {
        copy[at] = (copy[at] ?? 0) ^ 0x40;
      });
      disk.write(recorded.file, flipped);
      const outcome = await openAgain();
      expect(outcome, `byte ${at}`).toMatchObject({ code: 'corrupt' });
    }
    expect(await openAgain({ damagedLastFrame: 'cut' })).toMatchObject({
      content: recorded.beforeLast,
    });
    expect(await openAgain()).toEqual({ content: recorded.beforeLast, cutBytes: 0 });
  });

  it('never passes when a stretch in the middle reads as zeros', async () => {
    const recorded = await record();
    for (const at of disk.positions(32, offsetAt(recorded, 2) - 15, 8)) {
      disk.write(
        recorded.file,
        changed(recorded.bytes, (copy) => copy.fill(0, at, at + 16)),
      );
      // Zeros over bytes that were zero before are no damage.
      if (disk.read(recorded.file).equals(recorded.bytes)) continue;
      expect(await openAgain(), `zeros at ${at}`).toMatchObject({ code: 'corrupt' });
    }
  });

  it('names the file, the offset and what to do', async () => {
    const recorded = await record();
    const at = offsetAt(recorded, 1);
    const inside = at + FRAME_HEADER_BYTES + 50;
    disk.write(
      recorded.file,
      changed(recorded.bytes, (copy) => {
        copy[inside] = (copy[inside] ?? 0) ^ 1;
      }),
    );
    const outcome = await openAgain();
    expect(outcome).toBeInstanceOf(LogStoreError);
    const { message, retryable } = outcome as LogStoreError;
    expect(message).toContain(`${recorded.file} at byte ${at}`);
    expect(message).toMatch(/empty data directory/);
    expect(retryable).toBe(false);
  });

  it('is seen behind the last batch too: data that no write explains refuses to open', async () => {
    const recorded = await record();
    const end = offsetAt(recorded, 3);
    for (const at of [end, end + 100, SEGMENT_BYTES - 1]) {
      disk.write(
        recorded.file,
        changed(recorded.bytes, (copy) => {
          copy[at] = 0x55;
        }),
      );
      const outcome = await openAgain();
      // A lone byte may be all that is left of a write that never finished: cut, never applied.
      if (outcome instanceof LogStoreError) expect(outcome.code).toBe('corrupt');
      else expect(outcome.content).toEqual(recorded.complete);
    }
  });
});

describe.each(DISKS)('several segments, %s', (_where, open) => {
  beforeEach(() => {
    disk = open();
  });

  /** Sixty synced writes, which only cost time where syncs do: made in memory, then laid there. */
  async function recordSegments(): Promise<string[]> {
    const made = memoryDisk();
    const store = await openLogStore(made.directory, { files: made.files, segmentBytesMax: 2048 });
    for (let index = 1; index <= 60; index++) {
      const batch = store.batch();
      batch.appendEntries(1, [entry(index, 1)]);
      await store.write(batch);
    }
    expect(store.stats().segments).toBeGreaterThan(3);
    await store.close();
    copyDisk(made, disk);
    return disk
      .names()
      .filter((name) => name.endsWith('.log'))
      .sort();
  }

  it('an earlier segment that is missing, cut or torn refuses to open', async () => {
    const [first = '', second = '', third = ''] = await recordSegments();
    for (const name of [first, second, third]) {
      const file = join(disk.directory, name);
      const bytes = disk.read(file);
      disk.remove(file);
      expect(await openAgain(), `${name} missing`).toMatchObject({ code: 'corrupt' });
      for (const kept of [0, 20, 32, 500, 1500]) {
        disk.write(file, bytes.subarray(0, kept));
        expect(await openAgain(), `${name} cut`).toMatchObject({ code: 'corrupt' });
        disk.write(
          file,
          changed(bytes, (copy) => copy.fill(0, kept)),
        );
        expect(await openAgain(), `${name} torn`).toMatchObject({ code: 'corrupt' });
      }
      disk.write(file, bytes);
    }
    expect(await openAgain()).toMatchObject({ cutBytes: 0 });
  });

  it('a segment under the name of another one refuses to open', async () => {
    const [first = '', second = ''] = await recordSegments();
    const bytes = disk.read(join(disk.directory, first));
    disk.write(join(disk.directory, second), bytes);
    expect(await openAgain()).toMatchObject({ code: 'corrupt' });
  });

  it('a segment that was prepared and never used is deleted', async () => {
    await recordSegments();
    const leftover = join(disk.directory, `${segmentFileName(99)}.prepared`);
    disk.write(leftover, Buffer.from('x'));
    expect(await openAgain()).toMatchObject({ cutBytes: 0 });
    expect(disk.names()).not.toContain(`${segmentFileName(99)}.prepared`);
  });

  it('a directory without a log that has to be there is refused, and nothing is made in it', async () => {
    const options = { ...OPTIONS, files: disk.files };
    const opening = openLogStore(disk.directory, { ...options, createIfMissing: false });
    await expect(opening).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringContaining(`there is none in ${disk.directory}`) as string,
    });
    expect(disk.names()).toEqual([]);
    await record();
    const there = await openLogStore(disk.directory, { ...options, createIfMissing: false });
    await there.close();
  });

  it('a file of a later format version is refused by name', async () => {
    const { decodeSegmentHeader, checksum, viewOf } = await import('./format.js');
    const [first = ''] = await recordSegments();
    const file = join(disk.directory, first);
    const bytes = disk.read(file);
    bytes.writeUInt32LE(2, 8);
    viewOf(bytes).setUint32(28, checksum(bytes, 0, 28), true);
    expect(decodeSegmentHeader(bytes)).toEqual({ kind: 'unsupported', version: 2 });
    disk.write(file, bytes);
    expect(await openAgain()).toMatchObject({ code: 'unsupported-version' });
  });
});

describe('reading back', () => {
  beforeEach(() => {
    disk = realDisk();
  });

  it('a payload that changed on disk while the store is open is thrown, never returned', async () => {
    const store = await openLogStore(disk.directory, { segmentBytesMax: 1024, cacheBytesMax: 0 });
    for (let index = 1; index <= 20; index++) {
      const batch = store.batch();
      batch.appendEntries(1, [entry(index, 1)]);
      await store.write(batch);
    }
    const file = join(disk.directory, segmentFileName(1));
    const bytes = readFileSync(file);
    const at = bytes.indexOf('entry 1 of term 1');
    bytes[at] = (bytes[at] ?? 0) ^ 2;
    writeFileSync(file, bytes);
    const read = (): unknown => store.group(1).entries(1, 2, 1e9);
    expect(read).toThrow(expect.objectContaining({ code: 'corrupt' }));
    const descriptor = openSync(file, 'r+');
    ftruncateSync(descriptor, 40);
    closeSync(descriptor);
    expect(read).toThrow(expect.objectContaining({ code: 'corrupt' }));
    await store.close();
  });

  it('a file that cannot be read is named, with the place, when opening and later', async () => {
    const files = new UnreadableFiles();
    const options = { segmentBytesMax: 1024, cacheBytesMax: 0, files };
    const store = await openLogStore(disk.directory, options);
    for (let index = 1; index <= 40; index++) {
      const batch = store.batch();
      batch.appendEntries(1, [entry(index, 1)]);
      await store.write(batch);
    }
    files.fails = true;
    const file = join(disk.directory, segmentFileName(1));
    const named = {
      code: 'io',
      message: expect.stringContaining(`${file} cannot be read`) as string,
    };
    expect(() => store.group(1).entries(1, 2, 1e9)).toThrow(expect.objectContaining(named));
    await store.close();
    await expect(openLogStore(disk.directory, options)).rejects.toMatchObject(named);
  });

  it('a frame costs its header and end mark only', async () => {
    const recorded = await record();
    const record36 = (text: string): number => 36 + text.length;
    const payload = ['entry 4 of term 2', 'entry 5 of term 2', 'entry 6 of term 2'];
    const records = payload.reduce((sum, text) => sum + record36(text), 36 + 8);
    const frame = offsetAt(recorded, 2) - offsetAt(recorded, 1);
    expect(frame).toBe(FRAME_HEADER_BYTES + records + FRAME_END_BYTES);
  });
});
