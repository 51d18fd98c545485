/** Reports of a gateway: positions as they are heard, pullers when they change and now and then. */
import { describe, expect, it } from 'vitest';
import { applyV1 } from '@flotilla/proto';
import { PositionBoard } from './position-board.js';
import { positionOnWire, PositionReporter, type ReportedWork } from './position-reporter.js';
import { PullTally } from './pull-tally.js';

const none = () => undefined;
const SILENT = { applied: none, failed: none, snapshotBytes: none, snapshotEnded: none };

function setUp() {
  const clock = { ms: 1_000, nowMs: () => clock.ms, sleep: () => Promise.resolve() };
  const board = new PositionBoard();
  const tally = new PullTally(SILENT);
  const work = { table: 'orders', state: 'pulling', holding: { copy: { id: 7 } } };
  const works: ReportedWork[] = [work];
  const reporter = new PositionReporter(
    board,
    { report: () => Promise.resolve() },
    clock,
    { debug: none },
    { gateway: 'g-1', all: () => works, tally },
  );
  return { clock, board, tally, work, works, reporter };
}

describe('a gateway reports', () => {
  it('what a puller does with the position that was heard, in one piece', () => {
    const { board, tally, reporter } = setUp();
    board.heard(7, 'orders', 9, { nowMs: 1_000, wallMs: 5_000 });
    board.applied(7, 'orders', 4, 1_000);
    tally.applied('orders', 4, 400);
    const [position] = reporter.take();
    expect(position).toEqual({
      copyId: 7,
      leaderIndex: 9,
      clockMs: 5_000,
      puller: {
        gateway: 'g-1',
        state: 'pulling',
        lastError: '',
        copyIndex: 4,
        snapshotBytes: 0,
        receivedBytes: 400,
      },
    });
    if (!position) throw new Error('nothing was reported');
    const bytes = applyV1.ReplicaPosition.encode(positionOnWire(position)).finish();
    expect(applyV1.ReplicaPosition.decode(bytes).puller).toMatchObject({
      gateway: 'g-1',
      state: 'pulling',
      copyIndex: 4n,
      receivedBytes: 400n,
    });
  });

  it('nothing new of an idle table until it is to be renewed, and a change at once', () => {
    const { clock, work, reporter } = setUp();
    expect(reporter.take()).toHaveLength(1);
    clock.ms += 1_100;
    work.state = 'waiting';
    expect(reporter.take()).toEqual([]);
    clock.ms += 4_000;
    expect(reporter.take()).toHaveLength(1);
    work.state = 'failing';
    expect(reporter.take()).toMatchObject([
      { copyId: 7, clockMs: 0, puller: { state: 'failing' } },
    ]);
  });

  it('a failure for as long as the table is not well, and a snapshot for as long as it comes', () => {
    const { clock, tally, work, reporter } = setUp();
    tally.failed('orders', 'leader-unavailable');
    expect(reporter.take()[0]?.puller?.lastError).toBe('');
    work.state = 'failing';
    expect(reporter.take()[0]?.puller?.lastError).toBe('leader-unavailable');
    work.state = 'recovering';
    tally.snapshotBytes('orders', 500);
    expect(reporter.take()[0]?.puller).toMatchObject({ snapshotBytes: 500, receivedBytes: 500 });
    tally.snapshotEnded('orders', 'done');
    clock.ms += 1_000;
    expect(reporter.take()[0]?.puller).toMatchObject({ snapshotBytes: 0, receivedBytes: 500 });
  });

  it('nothing of a table that it does not pull any more, whose tally begins anew', () => {
    const { clock, tally, works, work, reporter } = setUp();
    tally.applied('orders', 1, 100);
    expect(reporter.take()).toHaveLength(1);
    works.length = 0;
    clock.ms += 10_000;
    expect(reporter.take()).toEqual([]);
    works.push(work);
    expect(reporter.take()[0]?.puller?.receivedBytes).toBe(0);
  });
});
