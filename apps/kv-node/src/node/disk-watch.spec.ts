import { SILENT_LOGGER } from '@flotilla/platform';
import { beforeEach, describe, expect, it } from 'vitest';
import { DiskWatch, type WatchedStats } from './disk-watch.js';
import { SYSTEM_CLOCK } from './node-clock.js';

const STALL_MS = 2_000;
const LOOK_MS = 500;

describe('the watch over the disk', () => {
  let nowMs: number;
  let stats: WatchedStats;
  let told: boolean[];
  let said: string[];
  let watch: DiskWatch;

  beforeEach(() => {
    [nowMs, told, said] = [0, [], []];
    stats = { syncs: 0, isWriting: false, aheadFailure: undefined };
    const say = (_fields: object, message: string) => void said.push(message);
    const logger = { ...SILENT_LOGGER, warn: say, error: say };
    const clock = { ...SYSTEM_CLOCK, nowMs: () => nowMs };
    const options = { directory: '/wal', stallMs: STALL_MS, clock };
    watch = new DiskWatch(
      () => stats,
      (isStalled) => told.push(isStalled),
      options,
      logger,
    );
  });

  function look(forMs: number, change: (before: WatchedStats) => WatchedStats = (same) => same) {
    for (const endMs = nowMs + forMs; nowMs < endMs;) {
      nowMs += LOOK_MS;
      stats = change(stats);
      watch.look();
    }
  }

  it('says nothing of a disk that is busy all the time but ends its writes', () => {
    look(10_000, ({ syncs }) => ({ ...stats, isWriting: true, syncs: syncs + 1 }));
    look(10_000, () => ({ ...stats, isWriting: false }));
    expect([told, said, watch.stalledMs]).toEqual([[], [], undefined]);
  });

  it('a write that does not end is said once, told with every look, and its end is said', () => {
    stats = { ...stats, isWriting: true };
    look(STALL_MS);
    expect([told, said]).toEqual([[], []]);
    look(2 * LOOK_MS);
    expect(told).toEqual([true, true]);
    expect(said).toEqual([
      'the disk does not finish a write of the raft log: others may lead, nothing is acknowledged here',
    ]);
    expect(watch.stalledMs).toBe(STALL_MS + LOOK_MS);
    look(LOOK_MS, () => ({ ...stats, isWriting: false, syncs: 1 }));
    expect(told).toEqual([true, true, false]);
    expect(said[1]).toBe('the disk has finished its write of the raft log');
    expect(watch.stalledMs).toBeUndefined();
  });

  it('a segment that has no room is said once, and again when it comes back after it was made', () => {
    stats = { ...stats, aheadFailure: 'ENOSPC' };
    look(3 * LOOK_MS);
    expect(said).toEqual([expect.stringContaining('no room for the next segment')]);
    look(LOOK_MS, () => ({ ...stats, aheadFailure: undefined }));
    look(LOOK_MS, () => ({ ...stats, aheadFailure: 'ENOSPC' }));
    expect(said).toHaveLength(2);
  });
});
