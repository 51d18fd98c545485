/**
 * Where the tables that this gateway pulls stand: in the leader cluster as it was last heard, and
 * here.
 *
 * In: what pullers hear and apply. Out: reports for the nodes, and the lag of each table. The
 * protocol of Regatta tells no time of the leader cluster, so the moment it was heard stands for
 * it, on this gateway's clock. Pure: time comes with the call.
 */
import { type Position } from './ports.js';

export interface TableLag {
  readonly table: string;
  readonly leaderIndex: number;
  readonly copyIndex: number;
  /** For how long the leader cluster has had more than is here. */
  readonly seconds: number;
}

interface Entry {
  readonly table: string;
  leaderIndex: number;
  heardWallMs: number;
  copyIndex: number;
  behindSinceMs: number | undefined;
  isNew: boolean;
}

/** Positions in one report. */
const POSITIONS_PER_REPORT_MAX = 10_000;

export class PositionBoard {
  private readonly entries = new Map<number, Entry>();

  heard(copyId: number, table: string, leaderIndex: number, at: HeardAt): void {
    const entry = this.entry(copyId, table);
    entry.leaderIndex = leaderIndex;
    entry.heardWallMs = at.wallMs;
    entry.isNew = true;
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
    this.entries.delete(copyId);
  }

  /** What was heard since the last time; the rest comes with the next report. */
  takeReport(): Position[] {
    const positions: Position[] = [];
    for (const [copyId, entry] of this.entries) {
      if (!entry.isNew) continue;
      if (positions.length >= POSITIONS_PER_REPORT_MAX) break;
      entry.isNew = false;
      const { leaderIndex, heardWallMs: clockMs } = entry;
      positions.push({ copyId, leaderIndex, clockMs });
    }
    return positions;
  }

  lags(nowMs: number): TableLag[] {
    return Array.from(this.entries.values(), ({ table, leaderIndex, copyIndex, behindSinceMs }) => {
      const behindMs = behindSinceMs === undefined ? 0 : nowMs - behindSinceMs;
      return { table, leaderIndex, copyIndex, seconds: behindMs / 1_000 };
    });
  }

  private entry(copyId: number, table: string): Entry {
    let entry = this.entries.get(copyId);
    if (!entry) {
      entry = {
        table,
        leaderIndex: 0,
        heardWallMs: 0,
        copyIndex: 0,
        behindSinceMs: undefined,
        isNew: false,
      };
      this.entries.set(copyId, entry);
    }
    return entry;
  }
}

export interface HeardAt {
  readonly nowMs: number;
  readonly wallMs: number;
}
