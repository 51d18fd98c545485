/**
 * Who waits until the copy of a table on this node has reached a revision of the leader cluster.
 *
 *   wait: there already --> reached
 *         not yet       --> in line by revision --advanced--> reached
 *                                               --changed---> look again: another replica, or none
 *                                               --deadline--> late
 *
 * In: revisions, what becomes of copies, deadlines. Out: each wait's promise, settled exactly once.
 * Whether it is there already is looked at in the tick in which the wait gets in line, so no wake-up
 * falls in between. Bounded by `REVISION_WAITS_MAX`; a place is taken before a write leaves, so that
 * nothing is written whose caller could not wait for it.
 */
import { type Cancel, type NodeClock } from '../node/node-clock.js';

/** Calls that may wait for revisions at a time, over all tables. */
export const REVISION_WAITS_MAX = 16_384;

/** A revision, and of which table in the leader cluster: 0 where that is not known. */
export interface WantedRevision {
  readonly table: string;
  readonly revision: number;
  readonly leaderTableId: number;
}

/** Where the copy of a table on this node stands. */
export interface CopyPosition {
  readonly revision: number;
  /** Id in the leader cluster of what it is a copy of; 0 where that is not known. */
  readonly leaderTableId: number;
}

export type WaitEnd = 'reached' | 'changed' | 'late';

interface Waiter {
  readonly revision: number;
  readonly end: (how: WaitEnd) => void;
}

/** Waiters for one table of the leader cluster, the lowest revision first. */
type Line = Waiter[];

export class RevisionWaits {
  private readonly lines = new Map<string, Map<number, Line>>();
  private placesTaken = 0;
  private isClosed = false;

  constructor(
    private readonly clock: Pick<NodeClock, 'nowMs' | 'after'>,
    /** Where the copy stands now; undefined while there is none here that may answer. */
    private readonly position: (table: string) => CopyPosition | undefined,
    private readonly waitsMax = REVISION_WAITS_MAX,
  ) {}

  get waiting(): number {
    return this.placesTaken;
  }

  /** Takes a place; the function gives it back. Undefined where all are taken. */
  takePlace(): (() => void) | undefined {
    if (this.placesTaken >= this.waitsMax) return undefined;
    this.placesTaken++;
    let isTaken = true;
    return () => {
      if (isTaken) this.placesTaken--;
      isTaken = false;
    };
  }

  /** Whoever waits has a place. `deadlineMs` is on the clock of the node. Never rejects. */
  wait(wanted: WantedRevision, deadlineMs: number, signal?: AbortSignal): Promise<WaitEnd> {
    if (hasReached(this.position(wanted.table), wanted)) return Promise.resolve('reached');
    const remainingMs = deadlineMs - this.clock.nowMs();
    const isOver = this.isClosed || signal?.aborted === true;
    if (remainingMs <= 0 || isOver) return Promise.resolve('late');
    return new Promise((resolve) => {
      const waiter: Waiter = {
        revision: wanted.revision,
        end: (how) => {
          cancel();
          signal?.removeEventListener('abort', giveUp);
          resolve(how);
        },
      };
      const giveUp = (): void => {
        this.leave(wanted, waiter);
        waiter.end('late');
      };
      const cancel: Cancel = this.clock.after(remainingMs, giveUp);
      signal?.addEventListener('abort', giveUp, { once: true });
      insert(this.lineOf(wanted), waiter);
    });
  }

  /** The copy of a table has applied more, or is another one. */
  advanced(table: string, at: CopyPosition): void {
    const lines = this.lines.get(table);
    if (!lines) return;
    for (const [leaderTableId, line] of lines) {
      if (!isSameTable(at.leaderTableId, leaderTableId)) continue;
      let count = 0;
      while (count < line.length && (line[count]?.revision ?? Infinity) <= at.revision) count++;
      for (const waiter of line.splice(0, count)) waiter.end('reached');
      if (line.length === 0) lines.delete(leaderTableId);
    }
    if (lines.size === 0) this.lines.delete(table);
  }

  /** Where the table is to be looked for is not what it was. */
  changed(table: string): void {
    const lines = this.lines.get(table);
    if (!lines) return;
    this.lines.delete(table);
    for (const line of lines.values()) for (const waiter of line) waiter.end('changed');
  }

  /** Nobody waits from now on: what does not have its revision is late. Idempotent. */
  close(): void {
    this.isClosed = true;
    const lines = [...this.lines.values()];
    this.lines.clear();
    for (const line of lines.flatMap((each) => [...each.values()])) {
      for (const waiter of line) waiter.end('late');
    }
  }

  private lineOf({ table, leaderTableId }: WantedRevision): Line {
    let lines = this.lines.get(table);
    if (!lines) this.lines.set(table, (lines = new Map<number, Line>()));
    let line = lines.get(leaderTableId);
    if (!line) lines.set(leaderTableId, (line = []));
    return line;
  }

  private leave({ table, leaderTableId }: WantedRevision, waiter: Waiter): void {
    const lines = this.lines.get(table);
    const line = lines?.get(leaderTableId);
    if (!lines || !line) return;
    const at = line.indexOf(waiter);
    if (at >= 0) line.splice(at, 1);
    if (line.length === 0) lines.delete(leaderTableId);
    if (lines.size === 0) this.lines.delete(table);
  }
}

export function hasReached(
  at: CopyPosition | undefined,
  { revision, leaderTableId }: Omit<WantedRevision, 'table'>,
): boolean {
  if (at === undefined) return false;
  return isSameTable(at.leaderTableId, leaderTableId) && at.revision >= revision;
}

function isSameTable(one: number, other: number): boolean {
  return one === other || one === 0 || other === 0;
}

/** Revisions mostly come in order: from the end it is near. */
function insert(line: Line, waiter: Waiter): void {
  let at = line.length;
  while (at > 0 && (line[at - 1]?.revision ?? 0) > waiter.revision) at--;
  line.splice(at, 0, waiter);
}
