/**
 * A write holds the loop only where nothing else waits for it, and never again soon after a slow one.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { QuietSync } from './quiet-sync.js';

describe('a sync on the loop', () => {
  let isAlone: boolean;
  let calls: number;
  let nowMs: number;
  let place: QuietSync;

  beforeEach(() => {
    isAlone = true;
    calls = 0;
    nowMs = 1_000;
    place = new QuietSync();
    place.attach({ isAlone: () => isAlone, calls: () => calls, nowMs: () => nowMs });
  });

  /** One write after so many calls; says whether it was waited for on the loop. */
  function write(after: number, tookMs: number): boolean {
    calls += after;
    const isHere = place.isHere();
    nowMs += tookMs;
    if (isHere) place.ended();
    return isHere;
  }

  it('is for a client that waits for each of its writes', () => {
    expect([write(1, 0.1), write(1, 0.1), write(2, 0.1)]).toEqual([true, true, true]);
  });

  it('is not for a node that is asked for more meanwhile, until it is quiet again', () => {
    expect([write(3, 0.1), write(500, 0.1), write(1, 0.1)]).toEqual([false, false, true]);
  });

  it('is not for a node of several, whether it was one or becomes one', () => {
    expect(write(1, 0.1)).toBe(true);
    isAlone = false;
    expect(write(1, 0.1)).toBe(false);
  });

  it('is not done for ten seconds after one that took longer than two milliseconds', () => {
    expect([write(1, 2), write(1, 2.1), write(1, 0.1)]).toEqual([true, true, false]);
    nowMs += 9_990;
    expect(write(1, 0.1)).toBe(false);
    nowMs += 10;
    expect(write(1, 0.1)).toBe(true);
  });

  it('is not done before anybody says what else the node does', () => {
    expect(new QuietSync().isHere()).toBe(false);
  });
});
