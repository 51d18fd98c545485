import { ClientError } from '@flotilla/client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { waitUntilDone, type Look } from './cluster-wait.js';

const LIMITS = { timeoutMs: 10_000, pauseMs: 1, lostMs: 5_000 };
const noHint = async () => '';
const away = () => new ClientError('UNAVAILABLE', 'nobody there');

afterEach(() => vi.restoreAllMocks());

/** A clock that nothing but looks moves: how long pauses take on a busy machine does not count. */
function clockOf(look: Look, lookMs: number): Look {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  return () => {
    nowMs += lookMs;
    return look();
  };
}

/** Looks that end one after the other as listed; the last one stays. */
function looks(...ends: (string | undefined | Error)[]): {
  look: Look;
  readonly count: () => number;
} {
  let count = 0;
  const look: Look = async () => {
    const end = ends[Math.min(count++, ends.length - 1)];
    if (end instanceof Error) throw end;
    return end;
  };
  return { look, count: () => count };
}

describe('waiting for a change', () => {
  it('ends with the first look that finds nothing left', async () => {
    const { look, count } = looks('a', 'b', undefined, 'never seen');
    await waitUntilDone('it', look, noHint, LIMITS);
    expect(count()).toBe(3);
  });

  it('outlasts a cluster that is out of reach for a while', async () => {
    const late = new ClientError('DEADLINE_EXCEEDED', 'too late');
    const { look, count } = looks('a', away(), late, away(), 'b', undefined);
    await waitUntilDone('it', look, noHint, LIMITS);
    expect(count()).toBe(6);
  });

  it('gives up on a cluster that stays out of reach, long before the time is up', async () => {
    const waiting = waitUntilDone('it', looks('a', away()).look, noHint, { ...LIMITS, lostMs: 50 });
    await expect(waiting).rejects.toThrow(
      'lost the cluster while waiting for it: nobody there; it goes on in the background',
    );
  });

  it('being out of reach twice for a short time is not being lost', async () => {
    const { look, count } = looks(away(), away(), 'a', away(), away(), undefined);
    await waitUntilDone('it', clockOf(look, 30), noHint, { ...LIMITS, lostMs: 50 });
    expect(count()).toBe(6);
  });

  it('ends at once when the cluster refuses to answer', async () => {
    const { look, count } = looks(new ClientError('PERMISSION_DENIED', 'no token'));
    await expect(waitUntilDone('it', look, noHint, LIMITS)).rejects.toThrow('no token');
    expect(count()).toBe(1);
  });

  it('looks once more at the very end of its time', async () => {
    const limits = { ...LIMITS, timeoutMs: 100, pauseMs: 60_000 };
    const { look, count } = looks('a', undefined);
    await waitUntilDone('it', clockOf(look, 30), noHint, limits);
    expect(count()).toBe(2);
  });
});
