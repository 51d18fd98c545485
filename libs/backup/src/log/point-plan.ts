/**
 * From what a table is restored to a revision, or to a time.
 *
 *   newest backup at or before it --> pieces of the log that give every revision from there on
 *                                     no backup: the log alone, if it begins at revision 1
 *
 * In: the histories of a name, the point. Out: a backup, pieces, the revision; or an error that says which
 * revisions are missing. Nothing is changed, and of the log only what tells a time is read.
 */
import { BackupError, isBackupError } from '../backup-error.js';
import { type Manifest } from '../format/manifest.js';
import { logEpochFolder } from '../format/log-names.js';
import { type EntryRecord } from '../format/records.js';
import { type LogCatalog } from './log-catalog.js';
import { coverageOf, type LogPiece, runsOf } from './log-coverage.js';
import { type TableHistory, type TableInBackup } from './table-histories.js';

export type Point =
  | { readonly kind: 'revision'; readonly revision: number }
  /** Milliseconds since the epoch, by the clock of the maintenance app. */
  | { readonly kind: 'time'; readonly atMs: number };

export interface PointPlan {
  readonly history: TableHistory;
  readonly revision: number;
  /** What the log goes on from; undefined where it tells everything. */
  readonly backup: (TableInBackup & { readonly chain: readonly Manifest[] }) | undefined;
  readonly pieces: readonly LogPiece[];
  readonly keyIds: readonly string[];
}

export interface PointParts {
  readonly logs: LogCatalog;
  /** From the full backup to this one. Throws if it does not go back to a full copy of the table. */
  readonly chainOf: (backup: TableInBackup) => Promise<readonly Manifest[]>;
  readonly signal: AbortSignal;
}

/** The youngest history that has the point. Throws with what is missing in each of them. */
export async function planPoint(
  parts: PointParts,
  name: string,
  histories: readonly TableHistory[],
  point: Point,
  /** What cannot be told, and may be what is looked for. */
  unreadable: readonly string[] = [],
): Promise<PointPlan> {
  const reasons: string[] = [];
  for (const history of histories) {
    const revision =
      point.kind === 'revision' ? point.revision : await revisionAt(parts, history, point.atMs);
    const planned =
      revision === undefined
        ? 'nothing of it was seen by then'
        : await planRevision(parts, history, revision);
    if (typeof planned !== 'string') return planned;
    reasons.push(`table ${name} with id ${history.tableId}: ${planned}`);
  }
  const code = histories.length === 0 ? 'BACKUP_NOT_FOUND' : 'REVISION_GONE';
  if (reasons.length === 0) reasons.push(`table: nothing is stored of ${name}`);
  throw new BackupError(code, [...reasons, ...unreadable].slice(0, REASONS_MAX).join('; '));
}

/** Whether anything is known of a table at that point. */
export async function wasSeen(
  parts: PointParts,
  histories: readonly TableHistory[],
  point: Point,
): Promise<boolean> {
  if (point.kind === 'revision') return true;
  for (const history of histories) {
    if ((await revisionAt(parts, history, point.atMs)) !== undefined) return true;
  }
  return false;
}

/** That an error tells. */
const REASONS_MAX = 3;

/** Or what is in the way. */
async function planRevision(
  { logs, chainOf, signal }: PointParts,
  history: TableHistory,
  revision: number,
): Promise<PointPlan | string> {
  const { tableId, epoch, backups, pieces } = history;
  let broken = '';
  const usable = backups.filter(({ table }) => table.revision <= revision);
  usable.sort((a, b) => b.table.revision - a.table.revision);
  for (const each of [...usable, undefined]) {
    const base = each?.table.revision ?? 0;
    const covered = coverageOf(pieces, base + 1, revision);
    // What is missing behind a newer backup is missing behind an older one as well.
    if (covered.kind === 'missing') {
      const { first, last } = covered;
      const where = `revisions ${first} to ${last} are not stored below ${logEpochFolder(tableId, epoch)}`;
      const from = each ? `it goes on from backup ${each.manifest.id}` : beginning(history);
      return `${where}; ${from}${broken}`;
    }
    const keyIds = covered.pieces.length === 0 ? [] : await logs.keyIds(tableId, signal);
    const found = { history, revision, pieces: covered.pieces, keyIds };
    if (!each) return { ...found, backup: undefined };
    try {
      const chain = await chainOf(each);
      return { ...found, backup: { ...each, chain } };
    } catch (error) {
      if (!isBackupError(error)) throw error;
      broken = `; backup ${each.manifest.id}: ${error.message}`;
    }
  }
  return 'nothing is stored of it';
}

function beginning({ backups, pieces }: TableHistory): string {
  const oldest = backups.at(-1);
  const log = pieces[0] ? `its log begins at ${pieces[0].first}` : 'it has no log';
  return oldest ? `its oldest backup is of revision ${oldest.table.revision}, ${log}` : log;
}

/** The last revision that was seen by then; undefined if nothing was. */
async function revisionAt(
  { logs, signal }: PointParts,
  { tableId, backups, pieces }: TableHistory,
  atMs: number,
): Promise<number | undefined> {
  const finished = backups.filter(({ manifest }) => Date.parse(manifest.finishedAt) <= atMs);
  const ofBackup = finished.map(({ table }) => table.revision);
  // What goes over what has been covered already says nothing new.
  const due = runsOf(pieces).flatMap((run) => run.pieces);
  const ofLog: number[] = [];
  if (due.length > 0) {
    const keyIds = await logs.keyIds(tableId, signal);
    const read = (piece: LogPiece) => logs.entries(piece, keyIds, signal);
    const found = await lastSeen(due, read, atMs);
    if (found !== undefined) ofLog.push(found);
  }
  const known = [...ofBackup, ...ofLog];
  return known.length > 0 ? Math.max(...known) : undefined;
}

/** Times grow with revisions: of many pieces a few are read. */
async function lastSeen(
  pieces: readonly LogPiece[],
  read: (piece: LogPiece) => Promise<readonly EntryRecord[]>,
  atMs: number,
): Promise<number | undefined> {
  let [low, high] = [0, pieces.length];
  let found: number | undefined;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const piece = pieces[middle];
    if (!piece) break;
    const entries = await read(piece);
    const seen = entries.findLast((entry) => entry.atMs <= atMs);
    if (seen) found = Math.max(found ?? 0, seen.index);
    // All of it was seen: more may have been.
    if (seen && seen.index === piece.last) low = middle + 1;
    else if (seen) break;
    else high = middle;
  }
  return found;
}
