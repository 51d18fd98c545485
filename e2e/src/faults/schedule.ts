/**
 * What goes wrong, and when: drawn from a seed, before anything is known of how the cluster takes it.
 *
 * In: chance, and which kinds of faults are wanted. Out: episodes of one to four faults that may
 * overlap. Nodes are named by their slot, tables by their number: who leads or lives is looked up when
 * the fault comes. An episode ends with everything healed, so that the cluster can go on.
 */
import { type Random } from './random.js';

export const FAULT_KINDS = [
  'kill',
  'pause',
  'partition',
  'slow',
  'rolling-restart',
  'replace',
  'transfer',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export const SLOTS = 3;
/** How often each kind is drawn, relative to the others. */
const WEIGHTS: Readonly<Record<FaultKind, number>> = {
  kill: 6,
  pause: 5,
  partition: 7,
  slow: 3,
  'rolling-restart': 1,
  replace: 1,
  transfer: 3,
};
const FAULTS_MAX = 4;
/** All faults of an episode begin within this time. */
const EPISODE_MS = 6_000;
const FAULT_MS_MAX = 8_000;

export const SHAPES = ['isolate', 'one-way-out', 'one-way-in', 'ring', 'bridge', 'all'] as const;
export type Shape = (typeof SHAPES)[number];

/** One node by its slot, the one that leads the table, or more. */
export type Victims = 'one' | 'leader' | 'majority' | 'all';

export type Fault = {
  /** Since the beginning of the episode. */
  readonly atMs: number;
  readonly slot: number;
  readonly table: number;
} & (
  | {
      readonly kind: 'kill';
      readonly victims: Victims;
      readonly downMs: number;
      /** Killed once more so long after it was started again. */
      readonly againAfterMs: number | undefined;
    }
  | { readonly kind: 'pause'; readonly victims: 'one' | 'leader'; readonly forMs: number }
  | {
      readonly kind: 'partition';
      readonly shape: Shape;
      /** Whether the node in the middle of the shape leads the table. */
      readonly ofLeader: boolean;
      readonly cut: 'silent' | 'reset';
      /** Whether what was held back still comes, or its connections break. */
      readonly heal: 'late' | 'reset';
      readonly forMs: number;
    }
  | {
      readonly kind: 'slow';
      readonly ofLeader: boolean;
      readonly delayMs: number;
      readonly forMs: number;
    }
  | { readonly kind: 'rolling-restart'; readonly calmMs: number }
  | { readonly kind: 'replace' }
  | { readonly kind: 'transfer'; readonly to: number }
);

export interface Episode {
  readonly faults: readonly Fault[];
  /** How long nothing happens after it, once the cluster goes on. */
  readonly calmMs: number;
}

/** Episodes without end. With one kind only, each has exactly one fault: a round. */
export function* episodes(random: Random, kinds: readonly FaultKind[]): Generator<Episode, never> {
  for (;;) {
    const count = kinds.length === 1 ? 1 : random.between(1, FAULTS_MAX);
    const faults: Fault[] = [];
    for (let at = 0; at < count; at++) {
      const wanted = kinds.filter((kind) => !(kind === 'replace' && hasReplace(faults)));
      if (wanted.length > 0) faults.push(drawFault(random, wanted));
    }
    faults.sort((one, other) => one.atMs - other.atMs);
    yield { faults, calmMs: random.between(200, 2_000) };
  }
}

function hasReplace(faults: readonly Fault[]): boolean {
  return faults.some(({ kind }) => kind === 'replace');
}

function drawFault(random: Random, kinds: readonly FaultKind[]): Fault {
  const kind = drawKind(random, kinds);
  const where = { slot: random.below(SLOTS), table: random.below(1 << 16) };
  // A node is replaced while the others are well; what comes after may find it half way.
  const atMs = kind === 'replace' ? 0 : random.between(0, EPISODE_MS);
  return { atMs, ...where, ...drawDetails(random, kind) };
}

function drawKind(random: Random, kinds: readonly FaultKind[]): FaultKind {
  let left = random.next() * kinds.reduce((sum, kind) => sum + WEIGHTS[kind], 0);
  for (const kind of kinds) {
    left -= WEIGHTS[kind];
    if (left < 0) return kind;
  }
  return random.pick(kinds);
}

type Details<T> = T extends unknown ? Omit<T, 'atMs' | 'slot' | 'table'> : never;

function drawDetails(random: Random, kind: FaultKind): Details<Fault> {
  const ofLeader = random.chance(0.5);
  const forMs = drawDurationMs(random);
  switch (kind) {
    case 'kill':
      return {
        kind,
        victims: random.pick(['one', 'one', 'leader', 'leader', 'leader', 'majority', 'all']),
        downMs: random.chance(0.5) ? random.between(0, 300) : random.between(300, 4_000),
        againAfterMs: random.chance(0.25) ? random.between(50, 1_500) : undefined,
      };
    case 'pause':
      return { kind, victims: random.pick(['one', 'leader', 'leader']), forMs };
    case 'partition':
      return {
        kind,
        shape: random.pick(SHAPES),
        ofLeader,
        cut: random.pick(['silent', 'silent', 'reset']),
        heal: random.pick(['late', 'reset']),
        forMs,
      };
    case 'slow':
      return { kind, ofLeader, delayMs: random.between(5, 400), forMs };
    case 'rolling-restart':
      return { kind, calmMs: random.between(0, 1_500) };
    case 'replace':
      return { kind };
    case 'transfer':
      return { kind, to: random.below(SLOTS) };
  }
}

/** Many short ones, some far longer than an election takes. */
function drawDurationMs(random: Random): number {
  return random.chance(0.4) ? random.between(100, 1_200) : random.between(1_200, FAULT_MS_MAX);
}

export function describeFault(fault: Fault): string {
  const { kind, slot, table } = fault;
  const leader = `the leader of table ${table}`;
  const node = `slot ${slot}`;
  switch (kind) {
    case 'kill': {
      const whom = { one: node, leader, majority: `all but ${node}`, all: 'all' }[fault.victims];
      const again =
        fault.againAfterMs === undefined ? '' : `, again after ${fault.againAfterMs} ms`;
      return `kill -9 ${whom}, down ${fault.downMs} ms${again}`;
    }
    case 'pause':
      return `pause ${fault.victims === 'one' ? node : leader} for ${fault.forMs} ms`;
    case 'partition': {
      const { shape, ofLeader, cut, heal, forMs } = fault;
      return `partition ${shape} at ${ofLeader ? leader : node}, ${cut}, for ${forMs} ms, heals ${heal}`;
    }
    case 'slow':
      return `links of ${fault.ofLeader ? leader : node} slow by ${fault.delayMs} ms for ${fault.forMs} ms`;
    case 'rolling-restart':
      return `rolling restart, ${fault.calmMs} ms between`;
    case 'replace':
      return `wipe and replace ${node}`;
    case 'transfer':
      return `transfer table ${table} to slot ${fault.to}`;
  }
}

/** Ordered pairs (from, to) of nodes that hear nothing any more, for a shape around one node. */
export function blockedPairs(
  shape: Shape,
  around: number,
  nodes: readonly number[],
): (readonly [from: number, to: number])[] {
  const others = nodes.filter((node) => node !== around);
  const out = others.map((to) => [around, to] as const);
  const into = others.map((from) => [from, around] as const);
  switch (shape) {
    case 'isolate':
      return [...out, ...into];
    case 'one-way-out':
      return out;
    case 'one-way-in':
      return into;
    case 'ring':
      // Each hears only the one before it.
      return nodes.flatMap((from, at) =>
        nodes
          .filter((to) => to !== from && to !== nodes[(at + 1) % nodes.length])
          .map((to) => [from, to] as const),
      );
    case 'bridge':
      // The others hear the one in the middle, and not each other.
      return pairsAmong(others);
    case 'all':
      return pairsAmong(nodes);
  }
}

function pairsAmong(nodes: readonly number[]): (readonly [number, number])[] {
  return nodes.flatMap((from) =>
    nodes.filter((to) => to !== from).map((to) => [from, to] as const),
  );
}
