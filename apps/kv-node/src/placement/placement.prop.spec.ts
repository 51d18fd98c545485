import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseReplicas } from './choose-replicas.js';
import { PlacementLoad, type PlacedTable, type PlacementNode } from './placement-load.js';
import { planMoves, type Move } from './plan-moves.js';

const REPLICAS = 3;
const MOVES_MAX = 4;
const ROUNDS_MAX = 5_000;

function activeNodes(count: number): PlacementNode[] {
  return Array.from({ length: count }, (_, at) => ({ id: at + 1, state: 'active', alive: true }));
}

function place(nodes: readonly PlacementNode[], count: number): World {
  const world = new World(nodes);
  for (let id = 10_001; id < 10_001 + count; id++) world.create(id);
  return world;
}

/** A cluster in which moves are made one after another. */
class World {
  readonly tables = new Map<number, PlacedTable>();
  readonly load = new PlacementLoad();
  replicaMoves = 0;

  constructor(public nodes: readonly PlacementNode[]) {}

  create(id: number): void {
    const { nodes, load } = this;
    const chosen = chooseReplicas({ nodes, load, tableId: id, replicasMax: REPLICAS });
    this.set({ id, movingFrom: [], ...chosen });
  }

  plan(): Move[] {
    const { nodes, load } = this;
    const tables = this.tables.values();
    const bounds = { replicasMax: REPLICAS, movesMax: MOVES_MAX, leaderMovesMax: 64 };
    return planMoves({ nodes, tables, load, ...bounds });
  }

  /** Plans and moves until nothing is left to do; `pick` says which move ends first. */
  settle(pick: (count: number) => number): void {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const moving = [...this.tables.values()].filter(({ movingFrom }) => movingFrom.length > 0);
      const moves = this.plan();
      if (moves.length === 0 && moving.length === 0) return;
      const replicaMoves = moves.filter(({ reason }) => reason !== 'leaders');
      expect(moving.length + replicaMoves.length).toBeLessThanOrEqual(MOVES_MAX);
      for (const move of moves) this.begin(move);
      const running = [...this.tables.values()].filter(({ movingFrom }) => movingFrom.length > 0);
      const done = running[pick(running.length)];
      if (done) this.set({ ...done, movingFrom: [] });
    }
    throw new Error('it does not come to rest');
  }

  counts(of: 'replicas' | 'leaders'): number[] {
    const active = this.nodes.filter(({ state, alive }) => state === 'active' && alive);
    return active.map(({ id }) =>
      of === 'replicas' ? this.load.replicasOf(id) : this.load.leadersOf(id),
    );
  }

  private begin(move: Move): void {
    const table = this.tables.get(move.tableId);
    if (!table) throw new Error(`there is no table ${move.tableId}`);
    expect(table.movingFrom).toEqual([]);
    expect(move.to.length).toBeGreaterThan(0);
    expect(move.to).toContain(move.preferredLeader);
    if (move.reason !== 'leaders') {
      this.replicaMoves++;
      const gone = table.replicas.filter((id) => !move.to.includes(id));
      expect(gone.length).toBeLessThanOrEqual(1);
      for (const id of move.to.filter((each) => !table.replicas.includes(each))) {
        expect(this.nodes.find((node) => node.id === id)).toMatchObject({
          state: 'active',
          alive: true,
        });
      }
    }
    const movingFrom = move.reason === 'leaders' ? [] : table.replicas;
    this.set({ ...table, replicas: move.to, movingFrom, preferredLeader: move.preferredLeader });
  }

  private set(table: PlacedTable): void {
    const before = this.tables.get(table.id);
    if (before) this.load.remove(before);
    this.tables.set(table.id, table);
    this.load.add(table);
  }
}

function spread(counts: readonly number[]): number {
  return Math.max(...counts) - Math.min(...counts);
}

describe('placement', () => {
  it('new tables spread over the nodes, copies and leaders alike', () => {
    const world = place(activeNodes(5), 1_000);
    for (const count of world.counts('replicas'))
      expect(Math.abs(count - 600)).toBeLessThanOrEqual(1);
    for (const count of world.counts('leaders'))
      expect(Math.abs(count - 200)).toBeLessThanOrEqual(1);
    expect(world.plan()).toEqual([]);
  });

  it('a table has as many copies as there are nodes, up to three; the living ones first', () => {
    for (const [nodes, copies] of [
      [1, 1],
      [2, 2],
      [3, 3],
      [7, 3],
    ] as const) {
      const world = place(activeNodes(nodes), 10);
      for (const { replicas } of world.tables.values()) expect(replicas).toHaveLength(copies);
    }
    const dead = activeNodes(4).map((node) => ({ ...node, alive: node.id !== 2 }));
    for (const { replicas } of place(dead, 10).tables.values()) expect(replicas).toEqual([1, 3, 4]);
    const half = activeNodes(3).map((node) => ({ ...node, alive: node.id !== 2 }));
    const load = new PlacementLoad();
    const chosen = chooseReplicas({ nodes: half, load, tableId: 1, replicasMax: REPLICAS });
    expect(chosen.replicas).toEqual([1, 2, 3]);
    expect(chosen.preferredLeader).not.toBe(2);
  });

  it('nodes that come get their share, those that leave give theirs up, and it comes to rest', () => {
    const change = fc.record({
      nodes: fc.integer({ min: 1, max: 6 }),
      added: fc.integer({ min: 0, max: 4 }),
      gone: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 3 }),
      tables: fc.integer({ min: 1, max: 60 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(change, ({ nodes, added, gone, tables, seed }) => {
        const world = place(activeNodes(nodes), tables);
        const all = activeNodes(nodes + added).map((node): PlacementNode => ({
          ...node,
          state: gone.includes(node.id) ? 'leaving' : 'active',
        }));
        const active = all.filter(({ state }) => state === 'active').length;
        fc.pre(active > 0);
        world.nodes = all;
        let draw = seed;
        world.settle((count) => (draw = (draw * 48_271 + 11) % 2_147_483_647) % Math.max(1, count));
        const wanted = Math.min(REPLICAS, active);
        for (const { replicas } of world.tables.values()) {
          expect(replicas.filter((id) => gone.includes(id) && id <= nodes + added)).toEqual([]);
          expect(replicas.length).toBeGreaterThanOrEqual(wanted);
        }
        expect(spread(world.counts('replicas'))).toBeLessThanOrEqual(1);
        expect(spread(world.counts('leaders'))).toBeLessThanOrEqual(2);
        expect(world.plan()).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  it('a node that comes costs about its share of moves, not more', () => {
    const world = place(activeNodes(4), 100);
    world.nodes = activeNodes(5);
    world.settle(() => 0);
    // 300 copies on five nodes: 60 have to move.
    expect(world.replicaMoves).toBeGreaterThanOrEqual(59);
    expect(world.replicaMoves).toBeLessThanOrEqual(62);
  });

  it('a node that does not answer keeps what it has, and a table without a majority is left alone', () => {
    const world = place(activeNodes(5), 50);
    world.nodes = activeNodes(5).map((node) => ({ ...node, alive: node.id !== 3 }));
    expect(world.plan().filter(({ reason }) => reason !== 'leaders')).toEqual([]);
    world.nodes = activeNodes(5).map((node) => ({ ...node, alive: node.id > 2, state: 'active' }));
    const leaving = world.nodes.map((node): PlacementNode => {
      return node.id === 3 ? { ...node, state: 'leaving' } : node;
    });
    world.nodes = leaving;
    for (const { from } of world.plan()) {
      expect(from.filter((id) => id > 2).length * 2).toBeGreaterThan(from.length);
    }
  });

  it('looking at tables in balance takes time in proportion to how many there are', () => {
    const leastMs = (count: number): number => {
      const world = place(activeNodes(20), count);
      const times = Array.from({ length: 20 }, () => {
        // Not the clock: others run on this machine as well.
        const started = process.cpuUsage();
        expect(world.plan()).toEqual([]);
        const { user, system } = process.cpuUsage(started);
        return (user + system) / 1_000;
      });
      return Math.min(...times);
    };
    // Twenty times as many: twenty times as long, four hundred if each were compared with each.
    expect(leastMs(20_000) / leastMs(1_000)).toBeLessThan(100);
  });
});
