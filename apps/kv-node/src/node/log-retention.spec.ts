/**
 * What of a table's log stays for follower clusters.
 */
import { describe, expect, it } from 'vitest';
import { LogRetention, MARKS_MAX, type RetainedGroup, SCAN_ENTRIES_MAX } from './log-retention.js';

const HOUR_MS = 3_600_000;
const ENTRY_BYTES = 100;

/** A group whose entries have the same size each. */
class FakeGroup {
  readonly id = 10_001;
  appliedIndex = 0;
  first = 1;
  scanned = 0;

  get log(): RetainedGroup['log'] {
    return {
      firstIndex: () => this.first,
      lastIndex: () => this.appliedIndex,
      payloadBytesBetween: (lo: number, hi: number) => {
        this.scanned += hi - lo;
        return (hi - lo) * ENTRY_BYTES;
      },
    } as unknown as RetainedGroup['log'];
  }
}

/** Looks every minute while so many entries a minute are written. */
function minutes(
  retention: LogRetention,
  group: FakeGroup,
  from: number,
  count: number,
  entries: number,
): number {
  let through = 0;
  for (let minute = from; minute < from + count; minute++) {
    group.appliedIndex += entries;
    through = retention.cutThrough(group, minute * 60_000);
  }
  return through;
}

describe('retention of the log', () => {
  it('keeps what is younger than the time, and nothing that is much older', () => {
    const retention = new LogRetention({ bytes: 1e12, timeMs: HOUR_MS });
    const group = new FakeGroup();
    expect(minutes(retention, group, 0, 60, 10)).toBe(0);
    // Of two hours the first has gone, to within a few marks.
    const through = minutes(retention, group, 60, 60, 10);
    expect(through).toBeLessThanOrEqual(600);
    expect(through).toBeGreaterThan(560);
  });

  it('keeps no more bytes than it may, and not much less', () => {
    const limit = 100_000 * ENTRY_BYTES;
    const retention = new LogRetention({ bytes: limit, timeMs: 1e12 });
    const group = new FakeGroup();
    const through = minutes(retention, group, 0, 50, 10_000);
    const keptBytes = (group.appliedIndex - through) * ENTRY_BYTES;
    expect(keptBytes).toBeLessThanOrEqual(limit);
    expect(keptBytes).toBeGreaterThan(limit * 0.9);
  });

  it('looks at each entry once, at a bounded number of them at a time, and keeps few marks', () => {
    const retention = new LogRetention({ bytes: 1e12, timeMs: 1e12 });
    const group = new FakeGroup();
    group.appliedIndex = SCAN_ENTRIES_MAX * 3;
    retention.cutThrough(group, 0);
    expect(group.scanned).toBe(SCAN_ENTRIES_MAX);
    minutes(retention, group, 1, 2_000, 5);
    expect(group.scanned).toBe(group.appliedIndex);
    const { marks } = retention as unknown as { marks: Map<number, unknown[]> };
    expect(marks.get(group.id)?.length).toBeLessThanOrEqual(MARKS_MAX + 1);
  });

  it('begins anew with a log that begins anew, and keeps all of that', () => {
    const retention = new LogRetention({ bytes: 1e12, timeMs: HOUR_MS });
    const group = new FakeGroup();
    minutes(retention, group, 0, 100, 10);
    group.first = 5_001;
    group.appliedIndex = 5_000;
    expect(minutes(retention, group, 200, 10, 10)).toBeLessThanOrEqual(5_000);
    group.first = 1;
    group.appliedIndex = 3;
    expect(retention.cutThrough(group, 300 * 60_000)).toBe(0);
  });

  it.each([
    ['no bytes', { bytes: 0, timeMs: HOUR_MS }],
    ['no time', { bytes: 1e9, timeMs: 0 }],
  ])('that has %s keeps nothing', (_, limits) => {
    const group = new FakeGroup();
    expect(minutes(new LogRetention(limits), group, 0, 5, 10)).toBe(Infinity);
  });

  it('fits the newest into what room there is', () => {
    const retention = new LogRetention({ bytes: 100_000 * ENTRY_BYTES, timeMs: 1e12 });
    const group = new FakeGroup();
    minutes(retention, group, 0, 10, 10_000);
    const room = 20_000 * ENTRY_BYTES;
    const kept = group.appliedIndex - retention.cutToFit(group, room, 1e9);
    expect(kept).toBeLessThanOrEqual(20_000);
    expect(kept).toBeGreaterThan(15_000);
  });
});
