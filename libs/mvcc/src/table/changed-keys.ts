/**
 * Which keys changed within a span of revisions, in order.
 *
 * In: a scan of changes, read a piece at a time. Out: each key once, ascending. Keys are strings of one
 * character a byte here, whose order is that of the bytes. They are sorted in runs as they come, and the runs
 * are merged as they are read: no step is long, however many keys there are.
 */
import { type ChangeScan } from './change-scan.js';
import { TableError } from './table-error.js';
import { type MayGoOn } from './table-types.js';

/** What may be gathered: keys, and their bytes. */
export const CHANGED_KEYS_MAX = 262_144;
export const CHANGED_BYTES_MAX = 32 * 1024 * 1024;
/** Keys that are sorted in one go. */
const RUN_KEYS_MAX = 2_048;
/** So many changes are looked at before it is asked again whether there is time. */
const UNASKED_CHANGES_MAX = 64;

export interface ChangedBounds {
  readonly keysMax: number;
  readonly bytesMax: number;
}

export class ChangedKeys {
  private readonly found = new Set<string>();
  private readonly runs: string[][] = [];
  private run: string[] = [];
  private bytes = 0;
  /** Positions in the runs: a heap whose first one has the lowest key. */
  private heap: { readonly run: string[]; at: number }[] | undefined;

  constructor(
    /** Only keys above this one. */
    private readonly after: string | undefined,
    /** Only changes of this revision and of those before. */
    private readonly upTo: number,
    private readonly bounds: ChangedBounds,
  ) {}

  has(key: string): boolean {
    return this.found.has(key);
  }

  /** Gathers for a while; true once the scan has ended. Throws TABLE_CHANGES_TOO_MANY. */
  gather(scan: ChangeScan, mayGoOn: MayGoOn): boolean {
    for (let looked = 1; ; looked++) {
      const change = scan.next();
      // The last row may go on beyond the span.
      if (change === undefined || change.revision > this.upTo) {
        this.endRun();
        return true;
      }
      this.add(change.keyName());
      if (looked % UNASKED_CHANGES_MAX === 0 && !mayGoOn()) return false;
    }
  }

  /** The lowest key that was not passed yet. */
  peek(): string | undefined {
    const first = this.merged()[0];
    return first?.run[first.at];
  }

  /** Passes the lowest key, which does not count as found any more. */
  pass(): void {
    const heap = this.merged();
    const [first] = heap;
    if (first === undefined) return;
    this.found.delete(first.run[first.at] ?? '');
    first.at++;
    if (first.at < first.run.length) return sink(heap);
    const last = heap.pop();
    if (last === undefined || last === first) return;
    heap[0] = last;
    sink(heap);
  }

  private add(key: string): void {
    if ((this.after !== undefined && key <= this.after) || this.found.has(key)) return;
    this.found.add(key);
    this.bytes += key.length;
    const { keysMax, bytesMax } = this.bounds;
    if (this.found.size > keysMax || this.bytes > bytesMax) {
      const text = `more than ${keysMax} keys, or ${bytesMax} bytes of keys, have changed`;
      throw new TableError('TABLE_CHANGES_TOO_MANY', text);
    }
    this.run.push(key);
    if (this.run.length >= RUN_KEYS_MAX) this.endRun();
  }

  private endRun(): void {
    if (this.run.length === 0) return;
    // The order of code units is that of the bytes.
    this.runs.push(this.run.sort());
    this.run = [];
  }

  private merged(): { readonly run: string[]; at: number }[] {
    if (this.heap === undefined) {
      this.heap = this.runs.map((run) => ({ run, at: 0 }));
      this.heap.sort((one, other) => (isBelow(one, other) ? -1 : 1));
    }
    return this.heap;
  }
}

type Position = { readonly run: string[]; readonly at: number };

function isBelow(one: Position, other: Position): boolean {
  return (one.run[one.at] ?? '') < (other.run[other.at] ?? '');
}

/** Puts the first position where it belongs. */
function sink(heap: Position[]): void {
  for (let at = 0; ;) {
    let lowest = at;
    for (const child of [2 * at + 1, 2 * at + 2]) {
      const [one, other] = [heap[child], heap[lowest]];
      if (one && other && isBelow(one, other)) lowest = child;
    }
    const [here, there] = [heap[at], heap[lowest]];
    if (lowest === at || !here || !there) return;
    heap[at] = there;
    heap[lowest] = here;
    at = lowest;
  }
}
