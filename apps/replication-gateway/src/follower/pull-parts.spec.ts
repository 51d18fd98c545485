/**
 * The small parts of pulling: the pace of snapshots, places for recoveries, positions, kinds of
 * errors.
 */
import { describe, expect, it } from 'vitest';
import { statusError } from '../../test/support/fake-clusters.js';
import { copyFailure, leaderFailure } from './failure-kind.js';
import { LogGapError } from './entry-batch.js';
import { Pace } from './pace.js';
import { PositionBoard } from './position-board.js';
import { RecoverySlots } from './recovery-slots.js';

const NEVER = new AbortController().signal;

describe('the pace of snapshots', () => {
  it('is kept over all pieces, whatever came before', () => {
    const pace = new Pace(1_000);
    let nowMs = 60_000;
    for (let piece = 0; piece < 50; piece++) nowMs += pace.pauseMs(100, nowMs);
    expect(nowMs).toBeGreaterThanOrEqual(60_000 + 5_000 - 200);
    expect(nowMs).toBeLessThanOrEqual(60_000 + 5_000);
  });

  it('is none where there is no bound', () => {
    expect(new Pace(0).pauseMs(1e9, 0)).toBe(0);
  });
});

describe('places for recoveries', () => {
  it('are given in the order of wishes, as they become free', async () => {
    const slots = new RecoverySlots(1);
    const order: string[] = [];
    const leave = await slots.take(NEVER);
    const others = ['b', 'c'].map(async (name) => {
      const end = await slots.take(NEVER);
      order.push(name);
      end?.();
      end?.();
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual([]);
    leave?.();
    await Promise.all(others);
    expect(order).toEqual(['b', 'c']);
    expect(await slots.take(NEVER)).toBeDefined();
  });

  it('are not taken by whoever has given up', async () => {
    const slots = new RecoverySlots(1);
    const leave = await slots.take(NEVER);
    const gone = new AbortController();
    const waiting = slots.take(gone.signal);
    gone.abort();
    expect(await waiting).toBeUndefined();
    leave?.();
    expect(await slots.take(NEVER)).toBeDefined();
    expect(await slots.take(gone.signal)).toBeUndefined();
  });
});

describe('the board of positions', () => {
  it('counts the lag from when the leader cluster had more, until the copy has it', () => {
    const board = new PositionBoard();
    const at = (nowMs: number) => ({ nowMs, wallMs: nowMs });
    board.applied(1, 't', 5, 0);
    board.heard(1, 't', 5, at(1_000));
    expect(board.lags(2_000)).toMatchObject([{ seconds: 0 }]);
    board.heard(1, 't', 8, at(2_000));
    board.heard(1, 't', 9, at(3_000));
    expect(board.lags(4_000)).toMatchObject([{ leaderIndex: 9, copyIndex: 5, seconds: 2 }]);
    board.applied(1, 't', 8, 4_000);
    expect(board.lags(5_000)).toMatchObject([{ seconds: 3 }]);
    board.applied(1, 't', 9, 5_000);
    expect(board.lags(9_000)).toMatchObject([{ seconds: 0 }]);
    board.forget(1);
    expect(board.lags(9_000)).toEqual([]);
  });

  it('reports what is new, once', () => {
    const board = new PositionBoard();
    board.heard(1, 't', 5, { nowMs: 1, wallMs: 77 });
    const told = { copyId: 1, leaderIndex: 5, clockMs: 77, stands: false };
    expect(board.takeReport()).toEqual({ positions: [told], moved: [] });
    expect(board.takeReport()).toEqual({ positions: [], moved: [] });
  });
});

describe('kinds of errors', () => {
  it('of a batch: in doubt unless the cluster has refused it', () => {
    expect(copyFailure(statusError('UNAVAILABLE'))).toBe('copy-in-doubt');
    expect(copyFailure(statusError('DEADLINE_EXCEEDED'))).toBe('copy-in-doubt');
    expect(copyFailure(statusError('INTERNAL'))).toBe('copy-in-doubt');
    expect(copyFailure(new Error('?'))).toBe('copy-in-doubt');
    expect(copyFailure(statusError('INVALID_ARGUMENT'))).toBe('copy-refused');
    expect(copyFailure(statusError('NOT_FOUND'))).toBe('copy-gone');
  });

  it('of the leader cluster', () => {
    expect(leaderFailure(statusError('NOT_FOUND'))).toBe('table-missing');
    expect(leaderFailure(statusError('DEADLINE_EXCEEDED'))).toBe('leader-unavailable');
    expect(leaderFailure(statusError('INTERNAL'))).toBe('leader-error');
    expect(leaderFailure(new LogGapError('?'))).toBe('log-garbled');
  });
});
