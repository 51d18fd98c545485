/** Reports of a gateway: positions as they are heard, pullers when they change and now and then. */
import { describe, expect, it } from 'vitest';
import { applyV1 } from '@flotilla/proto';
import { type PositionReport } from './ports.js';
import { PositionBoard } from './position-board.js';
import { PositionReporter, type ReportedWork } from './position-reporter.js';
import { PullTally } from './pull-tally.js';
import { reportOnWire } from './report-on-wire.js';

const none = () => undefined;
const SILENT = { applied: none, failed: none, snapshotBytes: none, snapshotEnded: none };
const AT = { nowMs: 1_000, wallMs: 5_000 };

function setUp() {
  const clock = { ms: 1_000, nowMs: () => clock.ms, sleep: () => Promise.resolve() };
  const board = new PositionBoard();
  const tally = new PullTally(SILENT);
  const work = { table: 'orders', state: 'pulling', holding: { copy: { id: 7 } } };
  const works: ReportedWork[] = [work];
  const answers: (boolean | Error)[] = [];
  const sent: PositionReport[] = [];
  const own = {
    report: (report: PositionReport) => {
      sent.push(report);
      const answer = answers.shift() ?? false;
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  };
  const reporter = new PositionReporter(
    board,
    own,
    clock,
    { debug: none },
    { gateway: 'g-1', all: () => works, tally },
  );
  const first = () => reporter.take()?.positions[0];
  return { clock, board, tally, work, works, reporter, first, answers, sent };
}

describe('a gateway reports', () => {
  it('what a puller does with the position that was heard, in one piece', () => {
    const { board, tally, reporter } = setUp();
    board.heard(7, 'orders', 9, { nowMs: 1_000, wallMs: 5_000 });
    board.applied(7, 'orders', 4, 1_000);
    tally.applied('orders', 4, 400);
    const report = reporter.take();
    expect(report?.positions[0]).toEqual({
      copyId: 7,
      leaderIndex: 9,
      clockMs: 5_000,
      stands: false,
      puller: {
        gateway: 'g-1',
        state: 'pulling',
        lastError: '',
        copyIndex: 4,
        snapshotBytes: 0,
        receivedBytes: 400,
      },
    });
    if (!report) throw new Error('nothing was reported');
    const bytes = applyV1.ReportPositionsRequest.encode(reportOnWire(report)).finish();
    const read = applyV1.ReportPositionsRequest.decode(bytes);
    expect(read).toMatchObject({ gateway: 'g-1', sequence: 1n, all: true, leaderClockMs: 0n });
    expect(read.positions[0]?.puller).toMatchObject({
      gateway: 'g-1',
      state: 'pulling',
      copyIndex: 4n,
      receivedBytes: 400n,
    });
  });

  it('nothing of an idle table, that it lives now and then, and a change at once', () => {
    const { clock, work, reporter, first } = setUp();
    expect(first()).toMatchObject({ copyId: 7 });
    clock.ms += 1_100;
    work.state = 'waiting';
    expect(reporter.take()).toBeUndefined();
    clock.ms += 4_000;
    expect(reporter.take()).toMatchObject({ positions: [], isAll: false, sequence: 2 });
    work.state = 'failing';
    expect(first()).toMatchObject({ copyId: 7, clockMs: 0, puller: { state: 'failing' } });
  });

  it('one clock for all tables that stand, and which of them do not any more', () => {
    const { board, reporter } = setUp();
    board.moved('orders', 9);
    board.heard(7, 'orders', 9, AT);
    board.clock(5_000);
    expect(reporter.take()).toMatchObject({
      clockMs: 5_000,
      positions: [{ copyId: 7, leaderIndex: 9, stands: true }],
    });
    board.clock(6_000);
    expect(reporter.take()).toMatchObject({ clockMs: 6_000, positions: [], moved: [] });
    expect(reporter.take()).toBeUndefined();
    // It has moved, and whoever reads its log is busy with what came before.
    board.moved('orders', 12);
    board.heard(7, 'orders', 10, AT);
    board.clock(7_000);
    expect(reporter.take()).toMatchObject({
      clockMs: 7_000,
      positions: [{ copyId: 7, leaderIndex: 10, stands: false }],
    });
    board.heard(7, 'orders', 12, AT);
    expect(reporter.take()?.positions).toMatchObject([{ leaderIndex: 12, stands: true }]);
    board.left('orders');
    expect(reporter.take()).toMatchObject({ positions: [], moved: [7] });
    expect(reporter.take()).toBeUndefined();
  });

  it('all again when a node has missed something, or nobody has answered', async () => {
    const { clock, board, reporter, answers, sent } = setUp();
    board.moved('orders', 9);
    board.heard(7, 'orders', 9, AT);
    answers.push(true, new Error('nobody answers'), false);
    let turns = 0;
    await new Promise<void>((resolve) => {
      clock.sleep = () => {
        if (++turns === 4) resolve();
        return turns < 4 ? Promise.resolve() : new Promise(() => undefined);
      };
      reporter.start();
    });
    expect(sent).toHaveLength(3);
    for (const { isAll, positions } of sent) {
      expect(isAll).toBe(true);
      expect(positions).toMatchObject([{ copyId: 7, stands: true, puller: { gateway: 'g-1' } }]);
    }
    expect(sent.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  });

  it('a failure for as long as the table is not well, and a snapshot for as long as it comes', () => {
    const { clock, tally, work, first } = setUp();
    tally.failed('orders', 'leader-unavailable');
    expect(first()?.puller?.lastError).toBe('');
    work.state = 'failing';
    expect(first()?.puller?.lastError).toBe('leader-unavailable');
    work.state = 'recovering';
    tally.snapshotBytes('orders', 500);
    expect(first()?.puller).toMatchObject({ snapshotBytes: 500, receivedBytes: 500 });
    tally.snapshotEnded('orders', 'done');
    clock.ms += 1_000;
    expect(first()?.puller).toMatchObject({ snapshotBytes: 0, receivedBytes: 500 });
  });

  it('that it does not pull a table any more, whose tally begins anew', () => {
    const { clock, tally, works, work, reporter, first } = setUp();
    tally.applied('orders', 1, 100);
    expect(first()).toBeDefined();
    works.length = 0;
    clock.ms += 1_000;
    expect(reporter.take()).toMatchObject({ positions: [], left: [7] });
    works.push(work);
    expect(first()?.puller?.receivedBytes).toBe(0);
  });
});
