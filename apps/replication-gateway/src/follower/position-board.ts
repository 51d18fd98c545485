/**
 * Where the tables that this gateway pulls stand: in the leader cluster as it was last heard, and
 * here.
 *
 *   reader of a log --heard, applied--> entry of its copy --changed--> next report
 *   stream ----moved, left, clock-----> which entries stand still, and at which time
 *
 * In: what pullers hear and apply, and what the stream says of all tables at once. Out: what changed, for
 * the nodes, and the lag of each table. The protocol of Regatta tells no time of the leader cluster, so the
 * moment it was heard stands for it, on this gateway's clock. Pure: time comes with the call.
 */
import { type Position, type StandingListener } from './ports.js';

export interface TableLag {
  readonly table: string;
  readonly leaderIndex: number;
  readonly copyIndex: number;
  /** For how long the leader cluster has had more than is here. */
  readonly seconds: number;
}

export interface BoardReport {
  readonly positions: readonly Position[];
  /** Copies that were told to stand, and do not any more. */
  readonly moved: readonly number[];
}

interface Entry {
  readonly copyId: number;
  readonly table: string;
  leaderIndex: number;
  heardWallMs: number;
  copyIndex: number;
  behindSinceMs: number | undefined;
  isNew: boolean;
  /** As the nodes were told. */
  isToldToStand: boolean;
}

/** Positions in one report; the rest comes with the next ones. */
export const POSITIONS_PER_REPORT_MAX = 10_000;

export class PositionBoard implements StandingListener {
  private readonly entries = new Map<number, Entry>();
  private readonly byTable = new Map<string, Entry>();
  /** Entries that are to be told of. */
  private readonly changed = new Set<Entry>();
  /** Where the stream says that logs stand, which their readers may not have heard yet. */
  private readonly standing = new Map<string, number>();
  private sharedClockMs = 0;

  /** Of the leader cluster, as the stream told it last; 0 if it never did. */
  get clockMs(): number {
    return this.sharedClockMs;
  }

  heard(copyId: number, table: string, leaderIndex: number, at: HeardAt): void {
    const entry = this.entry(copyId, table);
    entry.leaderIndex = leaderIndex;
    entry.heardWallMs = at.wallMs;
    entry.isNew = true;
    this.changed.add(entry);
    if (leaderIndex > entry.copyIndex) entry.behindSinceMs ??= at.nowMs;
    else entry.behindSinceMs = undefined;
  }

  applied(copyId: number, table: string, copyIndex: number, nowMs: number): void {
    const entry = this.entry(copyId, table);
    entry.copyIndex = copyIndex;
    if (copyIndex >= entry.leaderIndex) entry.behindSinceMs = undefined;
    else entry.behindSinceMs ??= nowMs;
  }

  forget(copyId: number): void {
    const entry = this.entries.get(copyId);
    if (!entry) return;
    this.entries.delete(copyId);
    this.changed.delete(entry);
    if (this.byTable.get(entry.table) !== entry) return;
    this.byTable.delete(entry.table);
    this.standing.delete(entry.table);
  }

  moved(table: string, leaderIndex: number): void {
    this.standing.set(table, leaderIndex);
    const entry = this.byTable.get(table);
    if (entry && entry.leaderIndex !== leaderIndex) this.changed.add(entry);
  }

  left(table: string): void {
    this.standing.delete(table);
    const entry = this.byTable.get(table);
    if (entry) this.changed.add(entry);
  }

  clock(leaderClockMs: number): void {
    this.sharedClockMs = leaderClockMs;
  }

  /** Last index of the leader cluster's log that the copy is known to hold. */
  copyIndexOf(copyId: number): number {
    return this.entries.get(copyId)?.copyIndex ?? 0;
  }

  /** What changed since the last time, or all of it. */
  takeReport(isAll = false): BoardReport {
    if (isAll) for (const entry of this.entries.values()) this.touch(entry);
    const positions: Position[] = [];
    const moved: number[] = [];
    for (const entry of this.changed) {
      if (positions.length + moved.length >= POSITIONS_PER_REPORT_MAX) break;
      this.changed.delete(entry);
      const { copyId, leaderIndex, heardWallMs: clockMs } = entry;
      const stands = this.standing.get(entry.table) === leaderIndex;
      if (entry.isNew) positions.push({ copyId, leaderIndex, clockMs, stands });
      else if (entry.isToldToStand && !stands) moved.push(copyId);
      entry.isNew = false;
      entry.isToldToStand = stands;
    }
    return { positions, moved };
  }

  lags(nowMs: number): TableLag[] {
    return Array.from(this.entries.values(), ({ table, leaderIndex, copyIndex, behindSinceMs }) => {
      const behindMs = behindSinceMs === undefined ? 0 : nowMs - behindSinceMs;
      return { table, leaderIndex, copyIndex, seconds: behindMs / 1_000 };
    });
  }

  /** Told again, if the leader cluster was ever heard of it. */
  private touch(entry: Entry): void {
    entry.isNew = entry.heardWallMs > 0;
    entry.isToldToStand = false;
    if (entry.isNew) this.changed.add(entry);
  }

  private entry(copyId: number, table: string): Entry {
    let entry = this.entries.get(copyId);
    if (!entry) {
      entry = {
        copyId,
        table,
        leaderIndex: 0,
        heardWallMs: 0,
        copyIndex: 0,
        behindSinceMs: undefined,
        isNew: false,
        isToldToStand: false,
      };
      this.entries.set(copyId, entry);
      this.byTable.set(table, entry);
    }
    return entry;
  }
}

export interface HeardAt {
  readonly nowMs: number;
  readonly wallMs: number;
}
