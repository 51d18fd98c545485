/**
 * Any state a cluster can be in: nodes that are dead, drained, leaving, removed or joining, tables on
 * any of them, some on the move. Moves are planned and made, in any order, until nothing is left.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PlacementLoad, type PlacedTable, type PlacementNode } from './placement-load.js';
import { planMoves, type Move } from './plan-moves.js';

const REPLICAS = 3;
const MOVES_MAX = 4;
const ROUNDS_MAX = 600;
const NODES = 8;

const nodeState = fc.oneof(
  { weight: 6, arbitrary: fc.constant('active' as const) },
  { weight: 1, arbitrary: fc.constantFrom('joining', 'drained', 'leaving', 'removed' as const) },
);
const nodeList: fc.Arbitrary<PlacementNode[]> = fc
  .array(fc.record({ state: nodeState, alive: fc.integer({ max: 5 }).map((n) => n !== 0) }), {
    minLength: 1,
    maxLength: NODES,
  })
  .map((all) => all.map((node, at) => ({ id: at + 1, ...node })));

// One node more than there is: a table may name a node that nobody knows any more.
const nodeId = fc.integer({ min: 1, max: NODES + 1 });
const idSet = (maxLength: number) => fc.uniqueArray(nodeId, { minLength: 1, maxLength });
const tableList: fc.Arbitrary<PlacedTable[]> = fc
  .array(
    fc.record({
      replicas: fc.oneof({ weight: 5, arbitrary: idSet(3) }, { weight: 1, arbitrary: idSet(5) }),
      movingFrom: fc.oneof(
        { weight: 5, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: idSet(3) },
      ),
      preferredLeader: fc.oneof(nodeId, fc.constant(0)),
    }),
    { minLength: 1, maxLength: 20 },
  )
  .map((all) => all.map((table, at) => ({ id: 10_001 + at, ...table })));

const scenario = fc.record({ nodes: nodeList, tables: tableList, seed: fc.nat(0x7fffffff) });

/** A cluster whose nodes stay as they are while tables move. */
class Cluster {
  readonly tables = new Map<number, PlacedTable>();
  readonly load = new PlacementLoad();
  readonly made: Move[] = [];
  private readonly byId: ReadonlyMap<number, PlacementNode>;
  private draw: number;

  constructor(
    readonly nodes: readonly PlacementNode[],
    tables: readonly PlacedTable[],
    seed: number,
  ) {
    this.byId = new Map(nodes.map((node) => [node.id, node]));
    this.draw = seed;
    for (const table of tables) this.set(table);
  }

  get targets(): readonly PlacementNode[] {
    return this.nodes.filter(({ state, alive }) => state === 'active' && alive);
  }

  /** Copies a table should have. */
  get wanted(): number {
    const active = this.nodes.filter(({ state }) => state === 'active').length;
    return Math.max(1, Math.min(REPLICAS, active));
  }

  stays(id: number): boolean {
    return this.byId.get(id)?.state === 'active';
  }

  isAlive(id: number): boolean {
    return this.byId.get(id)?.alive ?? false;
  }

  living(ids: readonly number[]): number {
    return ids.filter((id) => this.isAlive(id)).length;
  }

  hasMajority(ids: readonly number[]): boolean {
    return this.living(ids) * 2 > ids.length;
  }

  /** Who votes in the table's group: who did before, until the move is done. */
  holders({ replicas, movingFrom }: PlacedTable): readonly number[] {
    return movingFrom.length > 0 ? movingFrom : replicas;
  }

  plan(): Move[] {
    const { nodes, load } = this;
    const bounds = { replicasMax: REPLICAS, movesMax: MOVES_MAX, leaderMovesMax: 3 };
    return planMoves({ nodes, tables: this.tables.values(), load, ...bounds });
  }

  get moving(): PlacedTable[] {
    return [...this.tables.values()].filter(({ movingFrom }) => movingFrom.length > 0);
  }

  /** Ends when there is nothing to plan, and what still moves cannot end. */
  settle(check: (move: Move, table: PlacedTable) => void): void {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const moves = this.plan();
      for (const move of moves) this.begin(move, check);
      const ending = this.moving.filter((table) => this.canEnd(table));
      if (moves.length === 0 && ending.length === 0) return;
      this.draw = (this.draw * 48_271 + 11) % 2_147_483_647;
      const done = ending[this.draw % Math.max(1, ending.length)];
      if (done) this.set({ ...done, movingFrom: [] });
    }
    throw new Error('it does not come to rest');
  }

  /** New members have to catch up, and both the old and the new ones have to agree. */
  private canEnd(table: PlacedTable): boolean {
    const fresh = table.replicas.filter((id) => !table.movingFrom.includes(id));
    return (
      fresh.every((id) => this.isAlive(id)) &&
      this.hasMajority(table.movingFrom) &&
      this.hasMajority(table.replicas)
    );
  }

  private begin(move: Move, check: (move: Move, table: PlacedTable) => void): void {
    const table = this.tables.get(move.tableId);
    if (!table) throw new Error(`there is no table ${move.tableId}`);
    check(move, table);
    this.made.push(move);
    const movingFrom = move.reason === 'leaders' ? [] : move.from;
    this.set({ ...table, replicas: move.to, movingFrom, preferredLeader: move.preferredLeader });
  }

  private set(table: PlacedTable): void {
    const before = this.tables.get(table.id);
    if (before) this.load.remove(before);
    this.tables.set(table.id, table);
    this.load.add(table);
  }
}

function settled(
  { nodes, tables, seed }: { nodes: PlacementNode[]; tables: PlacedTable[]; seed: number },
  check: (move: Move, table: PlacedTable, cluster: Cluster) => void = () => undefined,
): Cluster {
  const cluster = new Cluster(nodes, tables, seed);
  cluster.settle((move, table) => check(move, table, cluster));
  return cluster;
}

const RUNS = { numRuns: 300 };

describe('moves planned from any state', () => {
  it('come to an end, and none undoes another', () => {
    fc.assert(
      fc.property(scenario, (given) => {
        const cluster = settled(given);
        expect(cluster.plan()).toEqual([]);
        const copies = given.tables.reduce((sum, { replicas }) => sum + replicas.length, 0);
        const replicaMoves = cluster.made.filter(({ reason }) => reason !== 'leaders');
        // Each copy goes away once, each missing one comes once, and some more go to make it even.
        expect(replicaMoves.length).toBeLessThanOrEqual(2 * copies + given.tables.length);
        const places = replicaMoves.map(({ tableId, to }) => JSON.stringify([tableId, to]));
        expect(new Set(places).size).toBe(places.length);
        // Who leads what is evened out anew while copies move; it costs no data, and ends as well.
        const leaderMoves = cluster.made.length - replicaMoves.length;
        expect(leaderMoves).toBeLessThanOrEqual(3 * given.tables.length);
      }),
      RUNS,
    );
  });

  it('put copies on living active nodes only, and tell truly where a table was', () => {
    fc.assert(
      fc.property(scenario, (given) => {
        settled(given, (move, table, cluster) => {
          const before = [...new Set([...table.replicas, ...table.movingFrom])];
          expect([...move.from].sort()).toEqual(before.sort());
          expect(new Set(move.to).size).toBe(move.to.length);
          for (const id of move.to.filter((each) => !before.includes(each))) {
            expect(cluster.stays(id) && cluster.isAlive(id)).toBe(true);
          }
          expect(move.to).toContain(move.preferredLeader);
          const leader = move.preferredLeader;
          const others = move.to.filter((id) => cluster.stays(id) && cluster.isAlive(id));
          if (others.length > 0) expect(cluster.stays(leader)).toBe(true);
        });
      }),
      RUNS,
    );
  });

  it('never leave a table without a living majority, nor with fewer living copies than it had', () => {
    fc.assert(
      fc.property(scenario, (given) => {
        settled(given, ({ to, reason }, table, cluster) => {
          if (reason === 'leaders') return;
          const holders = cluster.holders(table);
          expect(cluster.hasMajority(holders)).toBe(true);
          expect(cluster.hasMajority(to)).toBe(true);
          const [before, after] = [cluster.living(holders), cluster.living(to)];
          if (to.length < cluster.wanted) expect(after).toBeGreaterThanOrEqual(before);
          if (table.movingFrom.length > 0) return;
          // Copies beyond what is wanted are given up one by one; nothing else ever is.
          const spare = holders.length > cluster.wanted ? 1 : 0;
          expect(after).toBeGreaterThanOrEqual(before - spare);
          const kept = to.filter((id) => !cluster.stays(id));
          const gone = holders.filter((id) => !to.includes(id));
          expect(gone.length).toBeLessThanOrEqual(1);
          if (cluster.living(gone) > 0) expect(cluster.living(kept)).toBe(kept.length);
        });
      }),
      RUNS,
    );
  });

  it('begin so many at a time, what moves already included', () => {
    fc.assert(
      fc.property(scenario, ({ nodes, tables, seed }) => {
        const cluster = new Cluster(nodes, tables, seed);
        const bound = Math.max(MOVES_MAX, cluster.moving.length);
        cluster.settle(() => expect(cluster.moving.length).toBeLessThanOrEqual(bound));
        expect(cluster.moving.length).toBeLessThanOrEqual(bound);
      }),
      RUNS,
    );
  });

  it('end with nothing on nodes that are given up, and enough copies, where nodes are there for it', () => {
    fc.assert(
      fc.property(scenario, (given) => {
        const cluster = settled(given);
        const { moving, targets, wanted } = cluster;
        for (const { replicas, movingFrom } of moving) {
          const fresh = replicas.filter((id) => !movingFrom.includes(id));
          const waitsFor = fresh.filter((id) => !cluster.isAlive(id));
          const isLost = !cluster.hasMajority(movingFrom) || !cluster.hasMajority(replicas);
          // It waits for a node that may come back, or for its majority; not for one given up.
          expect(isLost || waitsFor.some((id) => cluster.stays(id))).toBe(true);
        }
        if (moving.length >= MOVES_MAX) return;
        for (const { replicas, movingFrom } of cluster.tables.values()) {
          if (movingFrom.length > 0 || !cluster.hasMajority(replicas)) continue;
          expect(replicas.length).toBeGreaterThanOrEqual(Math.min(wanted, targets.length));
          const given = replicas.filter((id) => !cluster.stays(id));
          if (targets.length >= REPLICAS) expect(given).toEqual([]);
          else if (targets.length === wanted) expect(given).toEqual([]);
        }
      }),
      RUNS,
    );
  });

  it('end in balance to one copy, where all tables can move', () => {
    fc.assert(
      fc.property(scenario, (given) => {
        const cluster = settled(given);
        const tables = [...cluster.tables.values()];
        fc.pre(cluster.targets.length > 0 && cluster.moving.length === 0);
        fc.pre(tables.every(({ replicas }) => cluster.hasMajority(replicas)));
        const counts = cluster.targets.map(({ id }) => cluster.load.replicasOf(id));
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        for (const { replicas, preferredLeader } of tables) {
          if (replicas.some((id) => cluster.stays(id) && cluster.isAlive(id))) {
            expect(replicas).toContain(preferredLeader);
            expect(cluster.stays(preferredLeader)).toBe(true);
          }
        }
      }),
      RUNS,
    );
  });
});

describe('a plan', () => {
  const node = (id: number, fields: Partial<PlacementNode> = {}): PlacementNode => ({
    id,
    state: 'active',
    alive: true,
    ...fields,
  });
  const table = (id: number, replicas: number[], movingFrom: number[] = []): PlacedTable => ({
    id,
    replicas,
    movingFrom,
    preferredLeader: replicas[0] ?? 0,
  });
  const planned = (nodes: PlacementNode[], tables: PlacedTable[]): Move[] =>
    new Cluster(nodes, tables, 1).plan().filter(({ reason }) => reason !== 'leaders');
  const gone = { state: 'leaving', alive: false } as const;

  it('looks after the tables with the fewest living copies first', () => {
    const nodes = [
      node(1, { state: 'leaving' }),
      node(2),
      node(3),
      node(4),
      node(5),
      node(6, gone),
    ];
    const draining = Array.from({ length: 9 }, (_, at) => table(at + 1, [1, 2, 3]));
    const moves = planned(nodes, [...draining, table(10, [6, 2, 3]), table(11, [2, 3])]);
    expect(moves.map(({ tableId }) => tableId)).toEqual([10, 11, 1, 2]);
  });

  it('takes a table back that was on its way to a node that died and is removed', () => {
    const moving = Array.from({ length: MOVES_MAX }, (_, at) =>
      table(at + 1, [1, 2, 4], [1, 2, 3]),
    );
    // Another node holds less, but nothing of these tables.
    const nodes = [node(1), node(2), node(3), node(5)];
    const tables = [...moving, table(10, [1, 2, 3])];
    expect(planned([...nodes, node(4, { alive: false })], tables)).toEqual([]);
    const moves = planned([...nodes, node(4, gone)], tables);
    expect(moves.map(({ to }) => to)).toEqual(moving.map(() => [1, 2, 3]));
    for (const { from } of moves) expect([...from].sort()).toEqual([1, 2, 3, 4]);
  });

  it('sends it on to another node where the one it comes from is to be empty', () => {
    const leaving = node(3, { state: 'leaving' });
    const moving = [table(1, [1, 2, 4], [1, 2, 3])];
    const [away] = planned([node(1), node(2), leaving, node(4, gone), node(5)], moving);
    expect(away?.to).toEqual([1, 2, 5]);
    const nobody = node(5, { alive: false });
    const [back] = planned([node(1), node(2), leaving, node(4, gone), nobody], moving);
    expect(back?.to).toEqual([1, 2, 3]);
  });

  it('keeps a living copy while the node that should take it is away', () => {
    const nodes = [node(1), node(2), node(3, { state: 'drained' }), node(4, { alive: false })];
    expect(planned(nodes, [table(1, [1, 2, 3])])).toEqual([]);
    expect(planned([...nodes, node(5)], [table(1, [1, 2, 3])])).toMatchObject([{ to: [1, 2, 5] }]);
  });

  it('never trades the majority of a table for an empty node', () => {
    const nodes = [node(1, { state: 'drained' }), node(2, { alive: false }), node(3)];
    expect(planned(nodes, [table(1, [1, 2, 3])])).toEqual([]);
  });
});
