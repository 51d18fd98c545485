/** Which reports of a gateway go on with what was told before, and what a gap makes void. */
import { beforeEach, describe, expect, it } from 'vitest';
import { GATEWAYS_MAX, GatewayViews } from './gateway-views.js';
import { LagBoard } from './lag-board.js';

let nowMs: number;
let views: GatewayViews;

beforeEach(() => {
  nowMs = 1_000;
  views = new GatewayViews({ nowMs: () => nowMs });
});

const take = (sequence: number, isAll = false, gateway = 'g') =>
  views.take({ gateway, sequence, isAll });

describe('the view of a gateway', () => {
  it('begins with a report of all, and goes on with the next one, or the same one again', () => {
    expect(take(4)).toBeUndefined();
    const view = take(5, true);
    expect(view).toBeDefined();
    expect(take(6)).toBe(view);
    expect(take(6)).toBe(view);
    expect(take(8)).toBeUndefined();
    expect(take(9)).toBeUndefined();
    expect(take(10, true)).not.toBe(view);
  });

  it('that has missed a report is never moved on again: what stood by it gets older', () => {
    const board = new LagBoard({ nowMs: () => nowMs }, () => true);
    board.report([{ tableId: 7, revision: 3, clockMs: 50_000, view: take(1, true) }]);
    views.advance('g', 50_000);
    nowMs += 2_000;
    take(2);
    views.advance('g', 52_000);
    expect(board.of(7, 3).lag?.ms).toBe(0);
    nowMs += 2_000;
    take(4);
    views.advance('g', 54_000);
    expect(board.of(7, 3).lag?.ms).toBe(2_000);
    // All is told again, of this table that it moved and is not known yet.
    take(5, true);
    views.advance('g', 55_000);
    nowMs += 1_000;
    expect(board.of(7, 3).lag?.ms).toBe(3_000);
  });

  it('is one of so many that are remembered', () => {
    for (let nth = 0; nth <= GATEWAYS_MAX; nth++) take(1, true, `g-${nth}`);
    expect(take(2, false, 'g-0')).toBeUndefined();
    expect(take(2, false, 'g-1')).toBeDefined();
  });
});
