/**
 * By which entries a reader of a log is known to hold the same history (docs/replication.md).
 *
 *   entries, in order --> the last few of them, as marks --> the check of the last one
 *
 * In: entries of a log, and what a reader has of it. Out: checks, or whether the reader has another one. Where the
 * log does not hold all that a check covers there is none, and an entry is known by its term alone; what is
 * not known at all must never pass for the same. The same entry has the same check on every replica.
 */
import { ENTRIES_PER_CHECK, entryCheck, type EntryMark, isOfTerm, markOf } from '@flotilla/mvcc';
import { type Group, type ToldEntry } from '@flotilla/raft';
import { type RunningTable } from '../tables/table-registry.js';

/** Bytes of entries that are read at a time for a check; one that is larger is read alone. */
const READ_BYTES_MAX = 256 * 1024;

export interface CheckedTable {
  readonly group: Pick<Group<unknown>, 'readApplied' | 'appliedTerm'>;
  readonly machine: { readonly state: Pick<RunningTable['machine']['state'], 'bornAtIndex'> };
}

export type Comparison =
  | { readonly kind: 'same' | 'unknown' }
  /** `check` is that of the entry in this log, if it is known. */
  | { readonly kind: 'other'; readonly check: bigint | undefined };

const SAME: Comparison = { kind: 'same' };

/** The last entries of a log up to one that moves on. */
export class EntryWindow {
  private marks: EntryMark[] = [];
  private last = 0;

  constructor(private readonly table: CheckedTable) {}

  /** That ends with this entry; empty if the log does not hold all of it. Rejects as `readApplied` does. */
  static async upTo(table: CheckedTable, index: number): Promise<EntryWindow> {
    const window = new EntryWindow(table);
    const { group } = table;
    for (let next = index - window.wantedAt(index) + 1; next <= index;) {
      const entries = await group.readApplied(next, READ_BYTES_MAX);
      const due = entries?.filter((entry) => entry.index <= index);
      const newest = due?.at(-1);
      if (due === undefined || newest === undefined) return new EntryWindow(table);
      window.add(due);
      next = newest.index + 1;
    }
    return window;
  }

  /** The next entries; those that do not follow begin it anew. */
  add(entries: readonly ToldEntry[]): void {
    const newest = entries.at(-1);
    if (newest === undefined) return;
    if (entries[0]?.index !== this.last + 1) this.marks = [];
    const added = entries.slice(-ENTRIES_PER_CHECK).map(({ term, data }) => markOf(term, data));
    this.marks = [...this.marks, ...added].slice(-ENTRIES_PER_CHECK);
    this.last = newest.index;
  }

  /** Of the last entry; undefined if not all is known that it covers. */
  get check(): bigint | undefined {
    const wanted = this.wantedAt(this.last);
    if (wanted < 1 || this.marks.length < wanted) return undefined;
    return entryCheck(this.marks.slice(-wanted));
  }

  /** Entries that a check covers there: none is of before the one that adopted the table. */
  private wantedAt(index: number): number {
    const first = Math.max(1, this.table.machine.state.bornAtIndex);
    return Math.min(ENTRIES_PER_CHECK, index - first + 1);
  }
}

/** Of an applied entry; undefined if it is not known any more. Rejects as `readApplied` does. */
export async function checkAt(table: CheckedTable, index: number): Promise<bigint | undefined> {
  return (await EntryWindow.upTo(table, index)).check;
}

/** `window` ends with the entry that the reader has, as far as that is known. */
export function compare(
  { group }: CheckedTable,
  window: EntryWindow,
  index: number,
  check: bigint,
): Comparison {
  const own = window.check;
  if (own !== undefined) return own === check ? SAME : { kind: 'other', check: own };
  const term = group.appliedTerm(index);
  if (term === undefined) return { kind: 'unknown' };
  return isOfTerm(check, term) ? SAME : { kind: 'other', check: undefined };
}
