/**
 * The operations of unknown outcome, found by what they need.
 *
 * In: a model with what it knows of them, and their numbers by the order of calls. Out: those that may
 * do something in a state. There can be hundreds, and each place of an order asks anew: it must never
 * offer one whose need the state does not meet, nor hold back one that could make a difference.
 */
import { type Model, type Operation } from './operation.js';

export interface Lost {
  /** Its place among those of unknown outcome, by the order of calls. */
  readonly id: number;
  readonly operation: number;
  /** The id of the last one before it that is alike, and has to be used up before it. */
  readonly twin: number | undefined;
}

interface Group {
  readonly blind: Lost[];
  readonly seeing: Lost[];
}

export class LostIndex<S, I, O> {
  private readonly groups = new Map<string | undefined, Group>();
  private readonly offers: ((state: S) => string) | undefined;

  constructor(
    { lost }: Model<S, I, O>,
    operations: readonly Operation<I, O>[],
    unknown: readonly number[],
  ) {
    this.offers = lost === undefined ? undefined : (state) => lost.offers(state);
    const last = new Map<string, number>();
    unknown.forEach((operation, id) => {
      const asked = operations[operation];
      if (lost === undefined || asked === undefined) {
        this.groupOf(undefined).seeing.push({ id, operation, twin: undefined });
        return;
      }
      const likeness = lost.likeness(asked.input, asked.output);
      const group = this.groupOf(lost.needs(asked.input));
      const side = lost.isBlind(asked.input) ? group.blind : group.seeing;
      side.push({ id, operation, twin: last.get(likeness) });
      last.set(likeness, id);
    });
  }

  /** Those that may do something in a state; the blind ones only right after one that returned. */
  candidates(state: S, isAfterReturned: boolean): Lost[] {
    if (this.groups.size === 0) return [];
    const needing = this.offers === undefined ? undefined : this.groups.get(this.offers(state));
    return [this.groups.get(undefined), needing].flatMap((group) => {
      if (group === undefined) return [];
      return isAfterReturned ? [...group.blind, ...group.seeing] : group.seeing;
    });
  }

  private groupOf(need: string | undefined): Group {
    const group = this.groups.get(need) ?? { blind: [], seeing: [] };
    this.groups.set(need, group);
    return group;
  }
}
