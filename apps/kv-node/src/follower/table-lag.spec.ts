import { describe, expect, it } from 'vitest';
import { OPEN_REPORTS_MAX, TableLag } from './table-lag.js';

/** Clock of the leader cluster: far from that of the node, and not looked at together with it. */
const LEADER_MS = 1_700_000_000_000;

describe('the lag of a copy', () => {
  it('is not known before the first report, nor its time before a reported revision was reached', () => {
    const lag = new TableLag();
    expect(lag.behind(5, 0)).toBeUndefined();
    lag.report(9, LEADER_MS, 100);
    expect(lag.behind(5, 100)).toEqual({ revisions: 4, ms: undefined });
    expect(lag.behind(9, 130)).toEqual({ revisions: 0, ms: 30 });
  });

  it('in time is how long ago the leader cluster had no more than is here', () => {
    const lag = new TableLag();
    lag.report(10, LEADER_MS, 1_000);
    lag.report(20, LEADER_MS + 500, 1_500);
    lag.report(30, LEADER_MS + 1_000, 2_000);
    expect(lag.behind(10, 2_000)).toEqual({ revisions: 20, ms: 1_000 });
    expect(lag.behind(29, 2_000)).toEqual({ revisions: 1, ms: 500 });
    expect(lag.behind(30, 2_010)).toEqual({ revisions: 0, ms: 10 });
  });

  it('grows while reports stay away, and does not go back with one that is late', () => {
    const lag = new TableLag();
    lag.report(10, LEADER_MS, 0);
    lag.report(9, LEADER_MS - 1, 5);
    expect(lag.behind(10, 60_000)).toEqual({ revisions: 0, ms: 60_000 });
    expect(lag.leaderRevision).toBe(10);
  });

  it('of a leader cluster that came back from an older state is reckoned from there on', () => {
    const lag = new TableLag();
    lag.report(10, LEADER_MS, 0);
    lag.report(50, LEADER_MS + 10, 10);
    lag.report(12, LEADER_MS + 20, 20);
    expect(lag.behind(12, 20)).toEqual({ revisions: 0, ms: 0 });
  });

  it('keeps a bounded number of reports, and then tells rather too much than too little', () => {
    const lag = new TableLag();
    const last = OPEN_REPORTS_MAX * 3;
    for (let at = 0; at <= last; at++) lag.report(at, LEADER_MS + at, at);
    const told = lag.behind(last - 1, last);
    expect(told?.revisions).toBe(1);
    expect(told?.ms).toBeGreaterThanOrEqual(1);
    expect(lag.behind(last, last)).toEqual({ revisions: 0, ms: 0 });
  });

  it('is told by the view of its gateway for as long as it stands by that', () => {
    const view = { sequence: 1, clockMs: 0, clockAtMs: 0, heardAtMs: 0 };
    const lag = new TableLag();
    lag.report(10, LEADER_MS, 0);
    lag.follow(view);
    Object.assign(view, { clockMs: LEADER_MS + 5_000, clockAtMs: 5_000 });
    expect(lag.behind(10, 5_010)).toEqual({ revisions: 0, ms: 10 });
    // It is behind since the last time at which it was not, whenever somebody asks.
    Object.assign(view, { clockMs: LEADER_MS + 6_000, clockAtMs: 6_000 });
    lag.report(11, LEADER_MS + 6_500, 6_500);
    lag.follow(view);
    expect(lag.behind(10, 7_000)).toEqual({ revisions: 1, ms: 1_000 });
    lag.leave({ ...view });
    Object.assign(view, { clockMs: LEADER_MS + 8_000, clockAtMs: 8_000 });
    expect(lag.behind(11, 8_000)).toEqual({ revisions: 0, ms: 0 });
    lag.leave(view);
    Object.assign(view, { clockMs: LEADER_MS + 9_000, clockAtMs: 9_000 });
    expect(lag.behind(11, 9_000)).toEqual({ revisions: 0, ms: 1_000 });
  });
});
