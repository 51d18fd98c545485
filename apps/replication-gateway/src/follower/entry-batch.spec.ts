/** How entries of a log are gathered, and what is refused. */
import { describe, expect, it } from 'vitest';
import { BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, BATCH_MS_MAX, EntryBatch } from './entry-batch.js';

const entry = (index: number, bytes = 10) => ({ index, command: Buffer.alloc(bytes) });

describe('a batch of entries', () => {
  it('takes the entries that follow each other, and no other one', () => {
    const batch = new EntryBatch(5);
    batch.add(entry(5), 0);
    batch.add(entry(6), 0);
    for (const index of [6, 5, 8]) expect(() => batch.add(entry(index), 0)).toThrow(/due/);
    expect(batch.take()).toMatchObject({ lastIndex: 6, bytes: 20 });
    expect(() => batch.add(entry(5), 0)).toThrow('entry 5 came where 7 was due');
  });

  it('is full by bytes and by number; one command that is larger goes alone', () => {
    const large = new EntryBatch(1);
    expect(large.isFullFor(BATCH_BYTES_MAX * 2)).toBe(false);
    large.add(entry(1, BATCH_BYTES_MAX - 10), 0);
    expect(large.isFullFor(10)).toBe(false);
    expect(large.isFullFor(11)).toBe(true);
    const many = new EntryBatch(1);
    for (let index = 1; index <= BATCH_COMMANDS_MAX; index++) many.add(entry(index, 0), 0);
    expect(many.isFullFor(0)).toBe(true);
  });

  it('is due when its first command has waited long enough, whatever came after', () => {
    const batch = new EntryBatch(1);
    batch.add(entry(1), 100);
    batch.add(entry(2), 100 + BATCH_MS_MAX - 1);
    expect(batch.leftMs(100 + BATCH_MS_MAX - 1)).toBe(1);
    expect(batch.leftMs(100 + BATCH_MS_MAX + 50)).toBe(0);
    batch.take();
    batch.add(entry(3), 500);
    expect(batch.leftMs(500)).toBe(BATCH_MS_MAX);
  });

  it('has the check of its last entry alone, and only if that was told of that entry', () => {
    const batch = new EntryBatch(1, true);
    batch.add(entry(1), 0);
    batch.check(11n);
    batch.add(entry(2), 0);
    expect(batch.take()).toMatchObject({ lastIndex: 2, lastCheck: undefined });
    batch.add(entry(3), 0);
    batch.check(33n);
    expect(batch.take()).toMatchObject({ lastIndex: 3, lastCheck: 33n });
    batch.add(entry(4), 0);
    batch.add(entry(5, 0), 0);
    batch.check(55n);
    expect(batch.take()).toMatchObject({ lastIndex: 4, lastCheck: undefined });
  });

  it('has no room for a message that would have to be cut', () => {
    const batch = new EntryBatch(1);
    batch.add(entry(1), 0);
    expect(batch.isFullFor(0, BATCH_COMMANDS_MAX - 1)).toBe(false);
    expect(batch.isFullFor(0, BATCH_COMMANDS_MAX)).toBe(true);
  });
});
