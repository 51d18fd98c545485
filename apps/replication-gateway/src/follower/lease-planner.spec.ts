/**
 * Who pulls what: decided from views alone, and what gateways that decide alike come to together.
 */
import { describe, expect, it } from 'vitest';
import { GIVEN_PER_PLAN_MAX, type LeasePlan, LeasePlanner } from './lease-planner.js';
import { type Lease, type ListedCopy } from './ports.js';

const INTERVAL_MS = 1_000;
const ME = 'gateway-a';

function copy(id: number, lease?: Lease): ListedCopy {
  return { table: `t${id}`, id, source: { tableId: 0, epoch: 1 }, lease };
}

const heldBy = (holder: string, remainingMs = 3_000): Lease => ({ holder, token: 1, remainingMs });
const ids = (copies: readonly ListedCopy[]) => copies.map(({ id }) => id);
const range = (count: number) => Array.from({ length: count }, (_, at) => at);

interface Given {
  readonly nowMs?: number;
  readonly pinned?: readonly number[];
  readonly idle?: readonly number[];
  readonly planner?: LeasePlanner;
  readonly gateways?: readonly string[];
  readonly reserved?: ReadonlySet<string>;
}

function plan(
  copies: readonly ListedCopy[],
  held: readonly number[] = [],
  { nowMs = 0, pinned = [], idle = [], ...given }: Given = {},
): LeasePlan {
  const { planner = newPlanner(), gateways = [ME], reserved = new Set() } = given;
  const tables = held.map((copyId) => ({
    copyId,
    isIdle: idle.includes(copyId),
    isPinned: pinned.includes(copyId),
  }));
  return planner.plan({ copies, held: tables, gateways, reserved, nowMs });
}

function newPlanner(): LeasePlanner {
  return new LeasePlanner(ME, INTERVAL_MS);
}

/** One that has known the gateways for long. */
function oldPlanner(gateways: readonly string[]): LeasePlanner {
  const planner = newPlanner();
  plan([], [], { planner, gateways, nowMs: -60 * INTERVAL_MS });
  return planner;
}

describe('a plan of leases', () => {
  it('takes what nobody holds, or one that is dead, and nothing of one that lives', () => {
    const copies = [copy(1), copy(2, heldBy('b')), copy(3, heldBy('', 0)), copy(4, heldBy('c', 0))];
    expect(ids(plan(copies).take)).toEqual([1, 3, 4]);
  });

  it('takes up to its share alone, until nobody else has taken the others for a while', () => {
    const gateways = [ME, 'gateway-b'];
    const planner = oldPlanner(gateways);
    const copies = range(6).map((id) => copy(id));
    const at = (intervals: number) =>
      plan(copies, [], { planner, gateways, nowMs: intervals * INTERVAL_MS });
    expect(ids(at(0).take)).toEqual([0, 1, 2]);
    expect(at(0).isSettled).toBe(false);
    expect(ids(at(3).take)).toEqual([0, 1, 2]);
    expect(ids(at(4).take)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('begins at another place than others, so that they do not want the same ones', () => {
    const copies = range(6).map((id) => copy(id));
    const gateways = [ME, 'gateway-b', 'gateway-c'];
    const taken = gateways.flatMap((name) => {
      const planner = new LeasePlanner(name, INTERVAL_MS);
      return ids(planner.plan({ copies, held: [], gateways, reserved: new Set(), nowMs: 0 }).take);
    });
    expect(taken.sort()).toEqual(range(6));
  });

  it('takes a lease of its own that it does not know of: the answer that gave it was lost', () => {
    const others = range(3).map((id) => copy(id + 2, heldBy(ME)));
    const gateways = [ME, 'gateway-b'];
    const held = ids(others);
    expect(ids(plan([copy(1, heldBy(ME)), ...others], held, { gateways }).take)).toEqual([1]);
  });

  it('gives back what is beyond its share, what is idle first, few at a time', () => {
    const gateways = [ME, 'gateway-b'];
    const copies = range(4).map((id) => copy(id, heldBy(ME)));
    const planner = oldPlanner(gateways);
    expect(plan(copies, range(4), { planner, gateways, idle: [2, 3] }).giveBack).toEqual([2, 3]);
    const many = range(1_000).map((id) => copy(id, heldBy(ME)));
    const { giveBack } = plan(many, range(1_000), { planner: oldPlanner(gateways), gateways });
    expect(giveBack).toHaveLength(GIVEN_PER_PLAN_MAX);
  });

  it('gives nothing to one that has just come, and may be dead already', () => {
    const planner = oldPlanner([ME]);
    const copies = range(4).map((id) => copy(id, heldBy(ME)));
    const gateways = [ME, 'gateway-b'];
    const at = (intervals: number) =>
      plan(copies, range(4), { planner, gateways, nowMs: intervals * INTERVAL_MS });
    expect(at(0)).toMatchObject({ giveBack: [], isSettled: false });
    expect(at(4).giveBack).toEqual([]);
    expect(at(5).giveBack).toHaveLength(2);
  });

  it('gives nothing back that is being replaced, and drops what is no copy any more', () => {
    const gateways = [ME, 'gateway-b'];
    const given = { gateways, planner: oldPlanner(gateways), pinned: [2] };
    const copies = [copy(1, heldBy(ME)), copy(2, heldBy(ME))];
    expect(plan(copies, [2, 1], given).giveBack).toEqual([1]);
    expect(plan([copy(1, heldBy(ME))], [1, 2, 3], given).drop).toEqual([3]);
  });

  it('touches no table whose copy is being replaced here, and looks again', () => {
    const { take, isSettled } = plan([copy(1), copy(2)], [], { reserved: new Set(['t1']) });
    expect([ids(take), isSettled]).toEqual([[2], false]);
  });

  it('is settled once nothing is left to be done', () => {
    const copies = [copy(1, heldBy(ME)), copy(2, heldBy('gateway-b'))];
    const gateways = [ME, 'gateway-b'];
    const planner = oldPlanner(gateways);
    expect(plan(copies, [1], { planner, gateways })).toEqual({
      take: [],
      giveBack: [],
      drop: [],
      isSettled: true,
    });
  });
});

/** Gateways that look in turn, each at what the others have done. */
class Gateways {
  readonly holders = new Map<number, string>();
  moves = 0;
  private readonly planners = new Map<string, LeasePlanner>();
  private readonly deadSinceMs = new Map<string, number>();
  private nowMs = 0;

  constructor(private readonly tables: number) {}

  start(name: string): void {
    this.planners.set(name, new LeasePlanner(name, INTERVAL_MS));
  }

  kill(name: string): void {
    this.planners.delete(name);
    this.deadSinceMs.set(name, this.nowMs);
  }

  run(intervals: number): void {
    for (let interval = 0; interval < intervals; interval++) {
      this.nowMs += INTERVAL_MS;
      for (const name of this.planners.keys()) this.look(name);
    }
  }

  heldBy(name: string): number {
    return [...this.holders.values()].filter((holder) => holder === name).length;
  }

  private isAlive(name: string): boolean {
    const sinceMs = this.deadSinceMs.get(name);
    return sinceMs === undefined || this.nowMs - sinceMs < 3 * INTERVAL_MS;
  }

  private look(name: string): void {
    const { nowMs, holders } = this;
    const copies = range(this.tables).map((at) => {
      const holder = holders.get(at);
      const remainingMs = holder !== undefined && this.isAlive(holder) ? 1_000 : 0;
      return copy(at, holder === undefined ? undefined : heldBy(holder, remainingMs));
    });
    const mine = copies.filter(({ lease }) => lease?.holder === name);
    const held = mine.map(({ id }) => ({ copyId: id, isIdle: true, isPinned: false }));
    const known = new Set([...this.planners.keys(), ...this.deadSinceMs.keys()]);
    const gateways = [...known].filter((one) => this.isAlive(one));
    const view = { copies, held, gateways, reserved: new Set<string>(), nowMs };
    const next = this.planners.get(name)?.plan(view);
    for (const id of next?.giveBack ?? []) holders.delete(id);
    for (const { id } of next?.take ?? []) {
      if (this.isAlive(holders.get(id) ?? '') && holders.has(id)) continue;
      holders.set(id, name);
      this.moves++;
    }
  }
}

describe('gateways that plan alike', () => {
  it('share the tables evenly, also with one that comes later, and move no more than that needs', () => {
    const gateways = new Gateways(900);
    gateways.start('a');
    gateways.run(3);
    expect(gateways.heldBy('a')).toBe(900);
    gateways.start('b');
    gateways.run(20);
    expect([gateways.heldBy('a'), gateways.heldBy('b')]).toEqual([450, 450]);
    gateways.start('c');
    gateways.run(20);
    expect(['a', 'b', 'c'].map((name) => gateways.heldBy(name))).toEqual([300, 300, 300]);
    expect(gateways.moves).toBe(900 + 450 + 300);
    gateways.run(20);
    expect(gateways.moves).toBe(900 + 450 + 300);
  });

  it('go on with the tables of one that died in one look, each with its part', () => {
    const gateways = new Gateways(900);
    for (const name of ['a', 'b', 'c']) gateways.start(name);
    gateways.run(20);
    const before = gateways.moves;
    gateways.kill('b');
    gateways.run(3);
    expect([gateways.heldBy('a'), gateways.heldBy('c')]).toEqual([450, 450]);
    expect(gateways.moves - before).toBe(300);
  });
});
