/** The schedules of two apps: one has the turn, the other one stands by. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { ScheduleBench } from '../../test/support/schedule-bench.js';
import { leftWork, LEFT_MS_MAX, MISSED_MS_MAX } from './left-work.js';

const WAIT_MS = 60_000;

let bench = new ScheduleBench();
afterEach(async () => {
  await bench.close();
  bench = new ScheduleBench();
});

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + WAIT_MS;
  while (!(await isSo())) {
    if (Date.now() > endMs) throw new Error('it did not come to be so');
    await sleep(5);
  }
}

describe('a schedule that several apps have', () => {
  it('is run by the one that has the turn, under its token, and by no other', async () => {
    const [a, b] = [bench.app('a'), bench.app('b')];
    a.turns.give(3);
    for (const { schedule } of [a, b]) {
      schedule.due('full');
      await schedule.backup('full');
      await schedule.drill();
    }
    await until(async () => (await bench.list()).good.length > 0);
    expect(await b.registry.metrics()).not.toMatch(/^flotilla_backup_runs_total\{.* [1-9]/m);
    const { good } = await bench.list();
    expect(new Set(good.map(({ runToken }) => runToken))).toEqual(new Set([3]));
  });

  it('ends what is at work when the turn is over, and the next app goes on with it at once', async () => {
    const [a, b] = [bench.app('a'), bench.app('b')];
    a.turns.give(3);
    bench.cluster.onChunk = () => {
      bench.cluster.onChunk = () => undefined;
      a.turns.take();
    };
    await a.schedule.backup('full');
    const { good, unfinished } = await bench.list();
    expect(good).toEqual([]);
    expect(unfinished).toMatchObject([{ begun: { runToken: 3, runner: 'a' } }]);
    const text = await a.registry.metrics();
    expect(text).toContain('flotilla_backup_runs_total{work="full",outcome="skipped"} 1');
    b.turns.give(4);
    await until(async () => (await bench.list()).good.length > 0);
    expect((await bench.list()).good).toMatchObject([{ id: unfinished[0]?.id, runToken: 4 }]);
  });

  it('makes up for a backup that was due while nobody had the turn, once', async () => {
    const [a, b] = [bench.app('a'), bench.app('b')];
    for (const { schedule } of [a, b]) schedule.due('full');
    bench.clock.nowMs += 5_000;
    b.turns.give(4);
    await until(async () => (await bench.list()).good.length > 0);
    b.turns.take();
    a.turns.give(5);
    bench.clock.nowMs += 5_000;
    // Behind the look of the one that takes over.
    a.schedule.due('incremental');
    await until(async () => (await bench.list()).good.length > 1);
    expect(await bench.kinds()).toEqual(['full', 'incremental']);
  });

  it('lets no app commit that has slept through the loss of its turn', async () => {
    const [a, b] = [bench.app('a'), bench.app('b')];
    a.turns.give(3);
    await a.schedule.backup('full');
    b.turns.give(4);
    await b.schedule.backup('full');
    const before = await bench.list();
    // It still believes that it has the turn.
    await a.schedule.backup('full');
    expect(await bench.list()).toEqual(before);
    const text = await a.registry.metrics();
    expect(text).toContain('flotilla_backup_runs_total{work="full",outcome="skipped"} 1');
  });

  it('is run without a token where the nodes know no leases', async () => {
    const { schedule, turns } = bench.app('a');
    turns.give(undefined);
    await schedule.backup('full');
    const { good } = await bench.list();
    expect(good).toHaveLength(1);
    expect(good[0]?.runToken).toBeUndefined();
  });
});

describe('a gap in a log', () => {
  const yearly = { full: '0 0 1 1 *', incremental: '', drill: '' };
  const metric = /runs_total\{work="incremental",outcome="done"\} 1$/m;

  it.each([true, false])(
    'is closed by one incremental backup, also where another app has the turn (has it: %s)',
    async (hasTurn) => {
      const other = bench.app('other', yearly);
      other.turns.give(3);
      await other.schedule.backup('full');
      const { schedule, turns, registry } = bench.app('shipper', yearly);
      if (hasTurn) {
        other.turns.take();
        turns.give(4);
      }
      for (let gaps = 0; gaps < 5; gaps++) schedule.gap();
      bench.clock.nowMs += 5_000;
      await until(async () => metric.test(await registry.metrics()));
      await sleep(200);
      expect(await bench.kinds()).toEqual(['full', 'incremental']);
      const { good } = await bench.list();
      expect(good.at(-1)?.runToken).toBe(hasTurn ? 4 : undefined);
      bench.clock.nowMs += 5_000;
      schedule.gap();
      await until(async () => (await bench.list()).good.length === 3);
    },
  );

  it('is left to operators where nothing is scheduled', async () => {
    const { schedule, turns } = bench.app('a');
    turns.give(3);
    await schedule.backup('full');
    schedule.gap();
    await sleep(100);
    expect(await bench.kinds()).toEqual(['full']);
  });
});

describe('what a new runner finds undone', () => {
  const nowMs = Date.UTC(2026, 5, 1);
  const begun = { kind: 'incremental', runToken: 3, startedAt: new Date(nowMs - 1).toISOString() };
  const left = (aliveAtMs: number, changes: object = {}) =>
    ({
      good: [],
      unreadable: [],
      unfinished: [{ id: 'x', aliveAtMs, begun: { ...begun, ...changes } }],
    }) as unknown as Parameters<typeof leftWork>[0];
  const nothing = { good: [], unreadable: [], unfinished: [] };

  it('is a run with an older token that was heard of lately', () => {
    expect(leftWork(left(nowMs), 4, undefined, nowMs)).toBe('incremental');
    expect(leftWork(left(nowMs), 3, undefined, nowMs)).toBeUndefined();
    expect(leftWork(left(nowMs), undefined, undefined, nowMs)).toBeUndefined();
    expect(leftWork(left(nowMs, { runToken: undefined }), 4, undefined, nowMs)).toBeUndefined();
    expect(leftWork(left(nowMs - LEFT_MS_MAX), 4, undefined, nowMs)).toBeUndefined();
  });

  it('is a backup that was due a moment ago, if none was begun since', () => {
    const missed = { kind: 'full', atMs: nowMs - 1_000 } as const;
    expect(leftWork(nothing, 4, missed, nowMs)).toBe('full');
    expect(leftWork(nothing, 4, { ...missed, atMs: nowMs - MISSED_MS_MAX - 1 }, nowMs)).toBe(
      undefined,
    );
    const byHand = left(nowMs, { runToken: undefined });
    expect(leftWork(byHand, 4, missed, nowMs)).toBeUndefined();
  });
});
