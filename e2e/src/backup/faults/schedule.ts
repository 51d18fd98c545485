/**
 * What each round does and what is killed in it. In: a source of chance. Out: rounds without end, the same ones
 * for the same seed: nothing here knows how long anything took.
 */
import { type Random } from '../../faults/random.js';
import { type Victim } from './backup-site.js';

export const WORKS = ['full', 'incremental', 'prune', 'restore', 'restore-in-place'] as const;
export type Work = (typeof WORKS)[number];

export interface RoundPlan {
  readonly work: Work;
  /** Undefined: nothing is killed, so that it is known how long the work takes. */
  readonly victim: Victim | undefined;
  /** Which node, where it is one. */
  readonly nth: number;
  /** When, as a part of the time that such work took before. */
  readonly at: number;
  /** Instead: soon after it has told that it is on its way. A prune tells nothing. */
  readonly isUnderWay: boolean;
  readonly downMs: number;
  /** A backup that was interrupted is not asked for again: others have to get along with what it left. */
  readonly isGivenUp: boolean;
  /** Which of the backups there are, and which table, counted round. */
  readonly choice: number;
}

const UNDISTURBED_PART = 0.12;
/** Whose work is to be interrupted is killed most often. */
const OTHER_PART = 0.6;
const GIVEN_UP_PART = 0.25;
/** Some strike after the end. */
const AT_MAX = 1.1;
const UNDER_WAY_PART = 0.5;
const DOWN_MS_MAX = 600;
const NODES_MAX = 3;
const CHOICES = 1_000_000;

export function* rounds(
  random: Random,
  victims: readonly Victim[],
): Generator<RoundPlan, never, undefined> {
  // Backups are what the others need, and what has most to be interrupted in.
  const works: readonly Work[] = [...WORKS, 'full', 'incremental', 'prune', 'restore-in-place'];
  for (;;) {
    const work = random.pick(works);
    const isUndisturbed = random.chance(UNDISTURBED_PART);
    const isOther = random.chance(OTHER_PART);
    const other = random.pick(victims);
    const victim = isOther ? other : 'maintenance';
    yield {
      work,
      victim: isUndisturbed ? undefined : victim,
      nth: random.below(NODES_MAX),
      at: random.next() * AT_MAX,
      isUnderWay: random.chance(UNDER_WAY_PART) && work !== 'prune',
      downMs: random.below(DOWN_MS_MAX),
      isGivenUp: random.chance(GIVEN_UP_PART),
      choice: random.below(CHOICES),
    };
  }
}
