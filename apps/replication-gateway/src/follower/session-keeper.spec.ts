/**
 * The session of a gateway, against a cluster in memory and on a clock that the test moves.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SILENT_LOGGER } from '@flotilla/platform';
import { FakeOwn, statusError } from '../../test/support/fake-clusters.js';
import { ManualClock } from '../../test/support/manual-clock.js';
import { SessionKeeper } from './session-keeper.js';

const INTERVAL_MS = 750;
const TTL_MS = 3_000;

let clock: ManualClock;
let own: FakeOwn;
let told: string[];
let keepers: SessionKeeper[];

beforeEach(() => {
  clock = new ManualClock();
  own = new FakeOwn(clock);
  told = [];
  keepers = [];
});

afterEach(async () => {
  own.around = (_, deed) => deed();
  for (const keeper of keepers) {
    const stopped = keeper.stop();
    await clock.advance(1);
    await stopped;
  }
});

function keeperOf(gateway: string): SessionKeeper {
  const keeper = new SessionKeeper({
    gateway,
    own,
    clock,
    logger: SILENT_LOGGER,
    intervalMs: INTERVAL_MS,
    changed: () => told.push(`${gateway} changed`),
    lost: () => told.push(`${gateway} lost`),
  });
  keepers.push(keeper);
  return keeper;
}

async function start(gateway: string): Promise<SessionKeeper> {
  const keeper = keeperOf(gateway);
  keeper.start();
  await clock.advance(0);
  return keeper;
}

const failing = () => {
  own.around = () => Promise.reject(statusError('UNAVAILABLE', 'no leader'));
};

describe('the session of a gateway', () => {
  it('costs one call each interval, and says nothing while nothing changes', async () => {
    const keeper = await start('a');
    expect(told.splice(0)).toEqual(['a changed']);
    const { token } = keeper;
    own.calls.length = 0;
    await clock.advance(10 * INTERVAL_MS);
    expect(own.calls).toHaveLength(10);
    expect([keeper.token, told]).toEqual([token, []]);
  });

  it('outlives a cluster without a leader for as long as two intervals, with the same token', async () => {
    const keeper = await start('a');
    const { token } = keeper;
    failing();
    await clock.advance(2 * INTERVAL_MS);
    own.around = (_, deed) => deed();
    await clock.advance(INTERVAL_MS);
    expect(keeper.token).toBe(token);
    expect(told).toEqual(['a changed']);
  });

  it('is lost when it was not told in time, and held on to if nobody has done away with it', async () => {
    const keeper = await start('a');
    const { token } = keeper;
    failing();
    await clock.advance(TTL_MS - 1);
    expect(keeper.token).toBe(token);
    await clock.advance(FAILURE_MS);
    expect(keeper.token).toBeUndefined();
    expect(told).toEqual(['a changed', 'a lost']);
    own.around = (_, deed) => deed();
    await clock.advance(INTERVAL_MS);
    expect(keeper.token).toBe(token);
    expect(told).toEqual(['a changed', 'a lost', 'a changed']);
  });

  it('that is gone is told as lost before another one is opened', async () => {
    const keeper = await start('a');
    const { token } = keeper;
    own.sessions.delete('a');
    await clock.advance(2 * INTERVAL_MS);
    expect(told).toEqual(['a changed', 'a lost', 'a changed']);
    expect(keeper.token).toBeGreaterThan(token ?? Infinity);
  });

  it('sees the end of another one as soon as its time is over', async () => {
    await start('a');
    await clock.advance(INTERVAL_MS * 0.4);
    const other = await start('b');
    await clock.advance(INTERVAL_MS);
    told.length = 0;
    // As one that is killed: it tells nothing any more.
    own.around = (method, deed, argument) =>
      method === 'holdSession' && argument === 'b' ? new Promise(() => undefined) : deed();
    const untilMs = own.sessions.get('b')?.untilMs ?? 0;
    const leftMs = untilMs - clock.nowMs();
    await clock.advance(leftMs - 1);
    expect(told).toEqual([]);
    await clock.advance(51);
    expect(told).toEqual(['a changed']);
    expect(other.token).toBeUndefined();
    keepers.pop();
  });

  it('is ended when the gateway stops', async () => {
    const keeper = await start('a');
    const stopped = keeper.stop();
    await clock.advance(1);
    await stopped;
    expect(own.sessions.size).toBe(0);
    expect(keeper.token).toBeUndefined();
  });
});

/** Longer than the pause after a call that failed. */
const FAILURE_MS = 150;
