import { beforeEach, describe, expect, it } from 'vitest';
import { ENTRY_OVERHEAD_BYTES } from './entry-size.js';
import { RaftInvariantError } from './errors.js';
import { MemoryStorage } from './memory-storage.js';
import { EntryType, type Entry } from './types.js';

function entry(index: number, term: number): Entry {
  return { index, term, type: EntryType.Normal, data: new Uint8Array(0) };
}

const withCode = (code: string): unknown => expect.objectContaining({ code });
const confState = {
  voters: [1, 2],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

describe('the storage in memory', () => {
  let storage: MemoryStorage;

  beforeEach(() => {
    storage = new MemoryStorage();
    storage.append([entry(1, 1), entry(2, 1), entry(3, 2), entry(4, 2)]);
  });

  it('a fresh one has first index 1, last index 0 and term 0 before the first entry', () => {
    const fresh = new MemoryStorage();
    expect([fresh.firstIndex(), fresh.lastIndex(), fresh.term(0)]).toEqual([1, 0, 0]);
  });

  it('says whether a position was compacted away or is not there yet', () => {
    storage.compact(2);
    expect([storage.firstIndex(), storage.lastIndex(), storage.term(2)]).toEqual([3, 4, 1]);
    expect(() => storage.term(1)).toThrow(withCode('compacted'));
    expect(() => storage.entries(2, 4, Infinity)).toThrow(withCode('compacted'));
    expect(() => storage.term(5)).toThrow(withCode('unavailable'));
    expect(() => storage.entries(3, 6, Infinity)).toThrow(withCode('unavailable'));
    expect(() => storage.compact(2)).toThrow(withCode('compacted'));
  });

  it('limits what it reads by bytes, but gives one entry at least', () => {
    expect(storage.entries(1, 5, 0)).toHaveLength(1);
    expect(storage.entries(1, 5, 3 * ENTRY_OVERHEAD_BYTES)).toHaveLength(3);
    expect(storage.entries(1, 3, Infinity)).toHaveLength(2);
  });

  it('appending replaces what lies at the same indexes and above', () => {
    storage.append([entry(3, 3)]);
    expect([storage.lastIndex(), storage.term(3)]).toEqual([3, 3]);
    expect(() => storage.append([entry(5, 3)])).toThrow(RaftInvariantError);
  });

  it('entries below the first index are not added again', () => {
    storage.compact(3);
    storage.append([entry(2, 1), entry(3, 2)]);
    expect([storage.firstIndex(), storage.lastIndex()]).toEqual([4, 4]);
    storage.append([entry(3, 2), entry(4, 5)]);
    expect([storage.firstIndex(), storage.term(4)]).toEqual([4, 5]);
  });

  it('a snapshot never goes back', () => {
    const { metadata } = storage.createSnapshot(3, confState, new Uint8Array(1));
    expect(metadata).toEqual({ index: 3, term: 2, confState });
    expect(storage.initialState().confState).toEqual(confState);
    const stale = withCode('snapshot-out-of-date');
    expect(() => storage.createSnapshot(3, undefined, new Uint8Array(0))).toThrow(stale);
    expect(() => storage.applySnapshot(storage.snapshot())).toThrow(stale);
    storage.applySnapshot({
      data: new Uint8Array(0),
      metadata: { ...metadata, index: 9, term: 4 },
    });
    expect([storage.firstIndex(), storage.lastIndex(), storage.term(9)]).toEqual([10, 9, 4]);
  });
});
