import { beforeEach, describe, expect, it } from 'vitest';
import { entryBytes } from './entry-size.js';
import { RaftInvariantError } from './errors.js';
import { RaftLog } from './log.js';
import { SILENT_LOGGER } from './logger.js';
import { MemoryStorage } from './memory-storage.js';
import { EntryType, type Entry, type Snapshot } from './types.js';

function entry(index: number, term: number): Entry {
  return { index, term, type: EntryType.Normal, data: new Uint8Array(4) };
}

function entries(from: number, ...terms: number[]): Entry[] {
  return terms.map((term, at) => entry(from + at, term));
}

function terms(list: readonly Entry[]): number[] {
  return list.map(({ term }) => term);
}

function snapshotAt(index: number, term: number): Snapshot {
  const confState = {
    voters: [1],
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  return { data: new Uint8Array(0), metadata: { index, term, confState } };
}

describe('the log', () => {
  let storage: MemoryStorage;
  let log: RaftLog;
  const limit = entryBytes(entry(1, 1));

  /** Entries 1..3 stored, 4..5 not. */
  beforeEach(() => {
    storage = new MemoryStorage();
    storage.append(entries(1, 1, 1, 2));
    log = new RaftLog(storage, SILENT_LOGGER, Infinity);
    log.append(entries(4, 2, 3));
  });

  it('reads across the border between stored and unstored entries', () => {
    expect(terms(log.slice(2, 6, Infinity))).toEqual([1, 2, 2, 3]);
    expect([1, 3, 4, 5].map((index) => log.termOrZero(index))).toEqual([1, 2, 2, 3]);
    expect([log.firstIndex(), log.lastIndex(), log.lastTerm()]).toEqual([1, 5, 3]);
  });

  it('cuts a slice at its byte limit, wherever the limit falls, but gives one entry at least', () => {
    for (let count = 1; count <= 4; count++) {
      expect(log.slice(2, 6, count * limit)).toHaveLength(count);
      expect(log.slice(2, 6, count * limit + limit - 1)).toHaveLength(count);
    }
    expect(log.slice(2, 6, 0)).toHaveLength(1);
    expect(log.slice(4, 6, 0)).toHaveLength(1);
    expect(log.slice(4, 6, limit)).toHaveLength(1);
  });

  it('refuses to be read outside of its bounds', () => {
    expect(() => log.slice(5, 7, Infinity)).toThrow(RaftInvariantError);
    expect(log.termOrUndefined(6)).toBeUndefined();
    storage.compact(2);
    expect(log.termOrUndefined(2)).toBe(1);
    expect(log.termOrUndefined(1)).toBeUndefined();
    expect(log.entriesFrom(2, Infinity)).toBeUndefined();
    expect(terms(log.entriesFrom(3, Infinity) ?? [])).toEqual([2, 2, 3]);
    expect(log.entriesFrom(6, Infinity)).toEqual([]);
  });

  it('accepts entries of a leader only where the logs meet', () => {
    expect(log.maybeAppend(5, 2, entries(6, 3), 0)).toBeUndefined();
    expect(log.maybeAppend(6, 3, entries(7, 3), 0)).toBeUndefined();
    expect(log.maybeAppend(5, 3, entries(6, 3), 9)).toBe(6);
    expect(log.committed).toBe(6);
  });

  it('keeps what agrees and replaces what does not', () => {
    expect(log.maybeAppend(1, 1, entries(2, 1, 2), 0)).toBe(3);
    expect(log.lastIndex()).toBe(5);
    expect(log.maybeAppend(3, 2, entries(4, 4), 0)).toBe(4);
    expect(log.lastIndex()).toBe(4);
    expect(terms(log.slice(1, 5, Infinity))).toEqual([1, 1, 2, 4]);
    expect(log.maybeAppend(1, 1, entries(2, 5), 0)).toBe(2);
    expect(terms(log.slice(1, 3, Infinity))).toEqual([1, 5]);
    expect(log.unstable.offset).toBe(2);
  });

  it('never replaces a committed entry, and never commits past its end', () => {
    log.commitTo(4);
    log.commitTo(2);
    expect(log.committed).toBe(4);
    expect(() => log.maybeAppend(3, 2, entries(4, 9), 4)).toThrow(RaftInvariantError);
    expect(() => log.append(entries(4, 9))).toThrow(RaftInvariantError);
    expect(() => log.commitTo(6)).toThrow(RaftInvariantError);
  });

  it('compares logs by their last term, then by their last index', () => {
    expect(log.isUpToDate(5, 3)).toBe(true);
    expect(log.isUpToDate(4, 3)).toBe(false);
    expect(log.isUpToDate(1, 4)).toBe(true);
    expect(log.isUpToDate(9, 2)).toBe(false);
  });

  it('finds where another log can agree at most', () => {
    expect(log.findConflictByTerm(5, 2)).toEqual({ index: 4, term: 2 });
    expect(log.findConflictByTerm(5, 1)).toEqual({ index: 2, term: 1 });
    expect(log.findConflictByTerm(5, 0)).toEqual({ index: 0, term: 0 });
    storage.compact(3);
    expect(log.findConflictByTerm(5, 1)).toEqual({ index: 2, term: 0 });
  });

  it('forgets entries once they are stored, but not those that took their place', () => {
    log.unstable.acceptInProgress();
    expect(log.unstable.hasNextEntries()).toBe(false);
    log.append(entries(5, 4));
    expect(terms(log.unstable.nextEntries())).toEqual([4]);
    log.unstable.stableTo(5, 3);
    expect(log.unstable.entries).toHaveLength(2);
    log.unstable.stableTo(4, 2);
    expect(terms(log.unstable.entries)).toEqual([4]);
    log.unstable.stableTo(4, 2);
    log.unstable.stableTo(9, 4);
    expect(log.unstable.offset).toBe(5);
    log.unstable.stableTo(5, 4);
    expect(log.unstable.entries).toEqual([]);
    expect(log.unstable.offset).toBe(6);
  });

  it('does not change what it handed out', () => {
    const handedOut = log.unstable.nextEntries();
    log.unstable.acceptInProgress();
    log.append(entries(5, 4, 4));
    log.append(entries(4, 5));
    expect(terms(handedOut)).toEqual([2, 3]);
  });

  it('a snapshot takes the place of everything until it is stored', () => {
    log.restore(snapshotAt(9, 4));
    expect([log.firstIndex(), log.lastIndex(), log.lastTerm(), log.committed]).toEqual([
      10, 9, 4, 9,
    ]);
    expect(log.termOrUndefined(5)).toBeUndefined();
    expect(log.hasNextCommittedEntries(true)).toBe(false);
    log.unstable.stableSnapshotTo(8);
    expect(log.unstable.snapshot).toBeDefined();
    log.unstable.stableSnapshotTo(9);
    expect(log.unstable.snapshot).toBeUndefined();
  });

  it('hands out committed entries once, unstored ones only where that is allowed', () => {
    log.commitTo(5);
    expect(terms(log.nextCommittedEntries(false))).toEqual([1, 1, 2]);
    const all = log.nextCommittedEntries(true);
    expect(terms(all)).toEqual([1, 1, 2, 2, 3]);
    log.acceptApplying(all, true);
    expect(log.hasNextCommittedEntries(true)).toBe(false);
    expect(() => log.appliedTo(6, 0)).toThrow(RaftInvariantError);
    log.appliedTo(5, 0);
    expect(() => log.appliedTo(4, 0)).toThrow(RaftInvariantError);
  });

  it('hands out no more than the limit before something was applied', () => {
    const limited = new RaftLog(storage, SILENT_LOGGER, 2 * limit);
    limited.commitTo(3);
    const first = limited.nextCommittedEntries(true);
    expect(first).toHaveLength(2);
    limited.acceptApplying(first, true);
    expect(limited.hasNextCommittedEntries(true)).toBe(false);
    limited.appliedTo(1, limit);
    expect(limited.nextCommittedEntries(true)).toHaveLength(1);
  });
});
