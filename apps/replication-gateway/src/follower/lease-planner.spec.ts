/**
 * Who pulls what: decided from views alone, and what gateways that decide alike come to together.
 */
import { describe, expect, it } from 'vitest';
import { type LeasePlan, LeasePlanner } from './lease-planner.js';
import { type Lease, type ListedCopy } from './ports.js';

const INTERVAL_MS = 1_000;
const ME = 'gateway-a';

function copy(id: number, lease?: Lease): ListedCopy {
  return { table: `t${id}`, id, source: { tableId: 0, epoch: 1 }, lease };
}

const heldBy = (holder: string, remainingMs = 3_000): Lease => ({ holder, token: 1, remainingMs });
const ids = (copies: readonly ListedCopy[]) => copies.map(({ id }) => id);

function plan(
  copies: readonly ListedCopy[],
  held: readonly number[] = [],
  { nowMs = 0, pinned = [] as number[], idle = [] as number[], planner = newPlanner() } = {},
): LeasePlan {
  const tables = held.map((copyId) => ({
    copyId,
    renewedAtMs: 0,
    isIdle: idle.includes(copyId),
    isPinned: pinned.includes(copyId),
  }));
  return planner.plan({ copies, held: tables, reserved: new Set(), nowMs });
}

function newPlanner(): LeasePlanner {
  return new LeasePlanner(ME, INTERVAL_MS);
}

describe('a plan of leases', () => {
  it('takes what nobody holds, and nothing that somebody who lives holds', () => {
    const { take } = plan([copy(1), copy(2, heldBy('b')), copy(3, heldBy('', 0))]);
    expect(ids(take)).toEqual([1, 3]);
  });

  it('takes the tables of a holder whose lease ran out at once, beyond any share', () => {
    const copies = [copy(1, heldBy(ME)), copy(2, heldBy('b')), copy(3, heldBy('b', 0))];
    expect(ids(plan([...copies, copy(4, heldBy('b', 0))], [1]).take)).toEqual([3, 4]);
  });

  it('leaves new tables to others beyond its share, until nobody has taken them for a while', () => {
    const planner = newPlanner();
    const copies = [copy(1, heldBy(ME)), copy(2, heldBy('b')), copy(3), copy(4)];
    const view = { planner };
    expect(ids(plan(copies, [1], view).take)).toEqual([3]);
    expect(ids(plan(copies, [1], { ...view, nowMs: 3 * INTERVAL_MS }).take)).toEqual([3]);
    expect(ids(plan(copies, [1], { ...view, nowMs: 4 * INTERVAL_MS }).take)).toEqual([3, 4]);
  });

  it('takes a lease of its own that it does not know of: the answer that gave it was lost', () => {
    expect(ids(plan([copy(1, heldBy(ME))]).take)).toEqual([1]);
  });

  it('gives back what is beyond its share, what is idle first, and leaves it to others', () => {
    const planner = newPlanner();
    const copies = [1, 2, 3].map((id) => copy(id, heldBy(ME)));
    copies.push(copy(4, heldBy('b')));
    const first = plan(copies, [1, 2, 3], { planner, idle: [2] });
    expect(first.giveBack).toEqual([2]);
    const free = copies.map((one) => (one.id === 2 ? copy(2, heldBy('', 0)) : one));
    expect(plan(free, [1, 3], { planner, nowMs: INTERVAL_MS }).take).toEqual([]);
    expect(ids(plan(free, [1, 3], { planner, nowMs: 9 * INTERVAL_MS }).take)).toEqual([2]);
  });

  it('gives nothing back that is being replaced', () => {
    const copies = [copy(1, heldBy(ME)), copy(2, heldBy(ME)), copy(3, heldBy('b'))];
    expect(plan(copies, [1, 2], { pinned: [2] }).giveBack).toEqual([]);
    const more = [...copies, copy(4, heldBy(ME))];
    expect(plan(more, [2, 1, 4], { pinned: [2] }).giveBack).toEqual([1]);
    expect(plan([copy(1)], [1, 2], { pinned: [2] }).drop).toEqual([]);
  });

  it('offers an idle table from time to time, so that a gateway without any shows itself', () => {
    const planner = newPlanner();
    const copies = [copy(1, heldBy(ME)), copy(2, heldBy(ME))];
    const at = (nowMs: number, idle: number[]) =>
      plan(copies, [1, 2], { planner, nowMs, idle }).giveBack;
    expect(at(0, [1, 2])).toEqual([]);
    expect(at(30 * INTERVAL_MS, [])).toEqual([]);
    expect(at(31 * INTERVAL_MS, [2])).toEqual([2]);
    expect(at(32 * INTERVAL_MS, [2])).toEqual([]);
    const alone = newPlanner();
    plan([copy(1, heldBy(ME))], [1], { planner: alone, idle: [1] });
    const later = { planner: alone, idle: [1], nowMs: 60 * INTERVAL_MS };
    expect(plan([copy(1, heldBy(ME))], [1], later).giveBack).toEqual([]);
  });

  it('renews what is due, and drops what is no copy any more', () => {
    const copies = [copy(1, heldBy(ME)), copy(2, heldBy(ME))];
    expect(plan(copies, [1, 2, 3]).drop).toEqual([3]);
    expect(plan(copies, [1, 2], { nowMs: INTERVAL_MS - 1 }).renew).toEqual([]);
    expect(plan(copies, [1, 2], { nowMs: INTERVAL_MS }).renew).toEqual([1, 2]);
  });

  it('renews rarely with many tables, and a lease outlives three renewals all the same', () => {
    const planner = newPlanner();
    expect([planner.renewEveryMs(1), planner.ttlMs(1)]).toEqual([1_000, 3_000]);
    expect([planner.renewEveryMs(1_000), planner.ttlMs(1_000)]).toEqual([5_000, 15_000]);
    expect([planner.renewEveryMs(1e6), planner.ttlMs(1e6)]).toEqual([100_000, 300_000]);
  });

  it('touches no table whose copy is being replaced here', () => {
    const held: never[] = [];
    const { take } = newPlanner().plan({
      copies: [copy(1), copy(2)],
      held,
      reserved: new Set(['t1']),
      nowMs: 0,
    });
    expect(ids(take)).toEqual([2]);
  });
});

/** Gateways that look in turn, each at what the others have done. */
class Gateways {
  readonly leases = new Map<number, { holder: string; untilMs: number }>();
  private readonly planners = new Map<string, LeasePlanner>();
  nowMs = 0;

  constructor(private readonly tables: number) {}

  start(name: string): void {
    this.planners.set(name, new LeasePlanner(name, INTERVAL_MS));
  }

  kill(name: string): void {
    this.planners.delete(name);
  }

  run(intervals: number): void {
    for (let interval = 0; interval < intervals; interval++) {
      this.nowMs += INTERVAL_MS;
      for (const name of this.planners.keys()) this.look(name);
    }
  }

  heldBy(name: string): number {
    return [...this.leases.values()].filter(({ holder, untilMs }) => {
      return holder === name && untilMs > this.nowMs;
    }).length;
  }

  private look(name: string): void {
    const planner = this.planners.get(name);
    const { nowMs, leases } = this;
    const copies = Array.from({ length: this.tables }, (_, at) => {
      const lease = leases.get(at);
      const remainingMs = Math.max(0, (lease?.untilMs ?? 0) - nowMs);
      return copy(at, lease && { holder: lease.holder, token: 1, remainingMs });
    });
    const mine = copies.filter(({ lease }) => lease?.holder === name && lease.remainingMs > 0);
    const held = mine.map(({ id }) => ({
      copyId: id,
      renewedAtMs: 0,
      isIdle: true,
      isPinned: false,
    }));
    const next = planner?.plan({ copies, held, reserved: new Set(), nowMs });
    if (!next) return;
    const untilMs = nowMs + 3 * INTERVAL_MS;
    for (const id of next.renew) leases.set(id, { holder: name, untilMs });
    for (const id of next.giveBack) leases.set(id, { holder: '', untilMs: 0 });
    for (const { id } of next.take) {
      if ((leases.get(id)?.untilMs ?? 0) <= nowMs) leases.set(id, { holder: name, untilMs });
    }
  }
}

describe('gateways that plan alike', () => {
  it('share the tables evenly, also with one that comes later', () => {
    const gateways = new Gateways(9);
    gateways.start('a');
    gateways.run(10);
    expect(gateways.heldBy('a')).toBe(9);
    gateways.start('b');
    gateways.run(50);
    expect([gateways.heldBy('a'), gateways.heldBy('b')].sort()).toEqual([4, 5]);
    gateways.start('c');
    gateways.run(80);
    expect(['a', 'b', 'c'].map((name) => gateways.heldBy(name))).toEqual([3, 3, 3]);
  });

  it('go on with the tables of one that died within four looks', () => {
    const gateways = new Gateways(10);
    gateways.start('a');
    gateways.start('b');
    gateways.run(60);
    expect(gateways.heldBy('b')).toBe(5);
    gateways.kill('b');
    gateways.run(4);
    expect(gateways.heldBy('a')).toBe(10);
  });
});
