/**
 * Where the copies of one table should be next, if some are missing or lie where they must not stay.
 *
 *   settled   [1 2 3], 1 leaves            --> [2 3 4]     one copy at a time
 *   moving    [1 2 3] to [1 2 4], 4 is gone for good --> [1 2 3] or [1 2 5]
 *
 * Pure. What comes out always has a living majority, so that the table goes on and can be moved again;
 * a living copy is given up only for another one, or where there are fewer nodes than copies.
 */
import { type PlacedTable } from './placement-load.js';

export interface RepairFacts {
  /** Copies a table should have. */
  readonly wanted: number;
  /** Whether copies may stay on the node. */
  stays(id: number): boolean;
  isAlive(id: number): boolean;
  /** The living node that holds the fewest copies and can take one, but none of these. */
  emptiest(without: readonly number[]): number | undefined;
}

export function needsRepair({ replicas }: PlacedTable, facts: RepairFacts): boolean {
  return replicas.length < facts.wanted || replicas.some((id) => !facts.stays(id));
}

/** The next copies of a table that does not move; undefined if nothing can be done now. */
export function repairedReplicas(
  { replicas }: PlacedTable,
  facts: RepairFacts,
): number[] | undefined {
  const staying = replicas.filter((id) => facts.stays(id));
  // One by one: a table is never more than one copy short while it moves. The dead ones go first.
  const going = livingFirst(replicas, facts).filter((id) => !facts.stays(id));
  const to = filled([...staying, ...going.slice(0, -1)], facts);
  const isChanged = to.length !== replicas.length || to.some((id) => !replicas.includes(id));
  return isChanged && isSafe(replicas, to, facts) ? to : undefined;
}

/**
 * Other copies for a table on its way to nodes that are dead and must not be waited for; undefined
 * if it waits for none. Who holds the table already takes their place before anybody else.
 */
export function redirectedReplicas(
  { replicas, movingFrom }: PlacedTable,
  facts: RepairFacts,
): number[] | undefined {
  const isGone = (id: number) => !movingFrom.includes(id) && !facts.stays(id) && !facts.isAlive(id);
  if (!replicas.some(isGone)) return undefined;
  const to = replicas.filter((id) => !isGone(id));
  const spare = livingFirst(movingFrom, facts).filter(
    (id) => facts.isAlive(id) && !to.includes(id),
  );
  const [back, leaving] = [
    spare.filter((id) => facts.stays(id)),
    spare.filter((id) => !facts.stays(id)),
  ];
  while (to.length < facts.wanted) {
    const next = back.shift() ?? facts.emptiest(to) ?? leaving.shift();
    if (next === undefined) break;
    to.push(next);
  }
  return isSafe(movingFrom, to, facts) ? to : undefined;
}

function filled(ids: readonly number[], facts: RepairFacts): number[] {
  const to = [...ids];
  while (to.length < facts.wanted) {
    const next = facts.emptiest(to);
    if (next === undefined) break;
    to.push(next);
  }
  return to;
}

function isSafe(from: readonly number[], to: readonly number[], facts: RepairFacts): boolean {
  const living = countLiving(to, facts);
  if (living * 2 <= to.length) return false;
  // A node that does not answer now may take a copy later: that is worth waiting for.
  return to.length >= facts.wanted || living >= countLiving(from, facts);
}

function livingFirst(ids: readonly number[], facts: RepairFacts): number[] {
  return [...ids].sort((a, b) => Number(facts.isAlive(b)) - Number(facts.isAlive(a)));
}

export function countLiving(ids: readonly number[], facts: RepairFacts): number {
  let living = 0;
  for (const id of ids) if (facts.isAlive(id)) living++;
  return living;
}
