/**
 * A few keys of one table for a few seconds, and all that was asked of them.
 *
 *   open --full or old--> closed: no new operations --the last one ended--> drained --last reads--> judged
 *
 * Histories stay short enough to be judged while the load goes on, and are dropped then: what is kept
 * of a generation is how its keys must look from now on.
 */
import {
  checkByKey,
  decodeHistory,
  describeViolation,
  encodeHistoryEntry,
  encodeHistoryHeader,
  historyKeyOf,
  kvModel,
  type HistoryEntry,
} from '@flotilla/linearizability';
import { type Target } from './operations.js';

export const SINGLES = 4;
export const PAIRS = 2;
export const OPERATIONS_PER_KEY_MAX = 400;

/** How a key looked at the end of its generation, and what may still become of it. */
export interface LastSeen {
  readonly target: Target;
  readonly value: string | null;
  readonly revision: number | undefined;
  /** Writes that nobody knows the end of: they may be done even later. A delete is null. */
  readonly mayFollow: readonly (string | null)[];
}

export interface Judged {
  readonly verdict: 'linearizable' | 'not-linearizable' | 'unknown';
  readonly keys: number;
  readonly operations: number;
  /** Why not, for a person to read. */
  readonly description: string;
}

interface TargetState {
  readonly target: Target;
  /** What somebody saw or wrote last, to compare with. */
  seen: string | null;
  begun: number;
}

export class Generation {
  readonly targets: readonly TargetState[];
  private readonly entries: HistoryEntry[] = [];
  private open = 0;
  private closed = false;
  private drained: (() => void) | undefined;

  constructor(
    readonly table: string,
    readonly number: number,
    readonly endsMs: number,
  ) {
    const name = (kind: string, at: number) => `g${number}/${kind}${at}`;
    const singles = Array.from({ length: SINGLES }, (_, at) => {
      return { table, name: name('k', at), keys: [name('k', at)] };
    });
    const pairs = Array.from({ length: PAIRS }, (_, at) => {
      return { table, name: name('p', at), keys: [`${name('p', at)}/a`, `${name('p', at)}/b`] };
    });
    this.targets = [...singles, ...pairs].map((target) => ({ target, seen: null, begun: 0 }));
  }

  get isFull(): boolean {
    return this.targets.some(({ begun }) => begun >= OPERATIONS_PER_KEY_MAX);
  }

  begin(state: TargetState): void {
    state.begun++;
    this.open++;
  }

  end(state: TargetState, entry: HistoryEntry): void {
    this.entries.push(entry);
    if (entry.outcome === 'ok') state.seen = valueAfter(entry);
    this.open--;
    if (this.closed && this.open === 0) this.drained?.();
  }

  /** Settles once the last operation ended; their deadlines bound that. */
  close(): Promise<void> {
    this.closed = true;
    return new Promise((resolve) => {
      this.drained = resolve;
      if (this.open === 0) resolve();
    });
  }

  history(): string {
    return encodeHistoryHeader() + this.entries.map(encodeHistoryEntry).join('');
  }

  /** Judged from the very text that would be kept. */
  judge(stepsMax: number): Judged {
    const { operations } = decodeHistory(this.history());
    const result = checkByKey(kvModel, operations, historyKeyOf, { stepsMax });
    const { verdict, keys, violation, undecided } = result;
    const description = violation
      ? `${violation.key}\n${describeViolation(kvModel, violation.result)}`
      : undecided.join(' ');
    return { verdict, keys, operations: operations.length, description };
  }

  /** From the last read of each key, which is the last entry of it. */
  lastSeen(): LastSeen[] {
    return this.targets.map(({ target }) => {
      const own = this.entries.filter(({ key }) => key === target.name);
      const last = own.at(-1);
      if (last?.kind !== 'get' || last.outcome !== 'ok') {
        throw new Error(`${target.name} was not read when its generation ended`);
      }
      const mayFollow = own.flatMap((entry) =>
        entry.outcome === 'unknown' ? [written(entry)] : [],
      );
      return { target, value: last.found ?? null, revision: last.revision, mayFollow };
    });
  }
}

function written(entry: HistoryEntry): string | null {
  return entry.kind === 'put' || entry.kind === 'txn-cas' ? entry.value : null;
}

function valueAfter(entry: HistoryEntry): string | null {
  if (entry.kind === 'get') return entry.found ?? null;
  if (entry.kind === 'txn-cas' && entry.succeeded === false) return entry.found ?? null;
  return written(entry);
}
