/**
 * Which backups are kept. Pure: backups, rules and a time in, a decision for each backup out.
 *
 *   the newest ones, the newest of each of so many hours, days, weeks --> kept
 *   whatever one of these adds to                                     --> kept, so that no chain breaks
 *   everything else                                                    --> not
 *
 * Hours, days and weeks are those of UTC; weeks begin on Mondays. Ones without a backup do not count.
 * Nothing is decided against a backup because something could not be read.
 */
import { BackupError } from '../backup-error.js';
import { type BackupListing } from '../catalog/backup-catalog.js';
import { type Manifest } from '../format/manifest.js';

export interface RetentionRules {
  /** The newest so many are kept whatever else; at least one. */
  readonly keepLast: number;
  readonly keepHourly: number;
  readonly keepDaily: number;
  readonly keepWeekly: number;
  /** A run that gave no sign of life for so long is not gone on with any more. */
  readonly unfinishedMs: number;
}

export interface Decision {
  readonly id: string;
  readonly kind: 'backup' | 'unfinished' | 'unreadable';
  readonly keep: boolean;
  readonly reason: string;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const WEEK_MS = 7 * DAY_MS;
/** 1970 began on a Thursday. */
const MONDAY_MS = 4 * DAY_MS;

export function decideRetention(
  listing: BackupListing,
  rules: RetentionRules,
  nowMs: number,
): readonly Decision[] {
  if (rules.keepLast < 1) {
    throw new BackupError('INVALID', 'keep last: at least one backup has to be kept');
  }
  const newestFirst = [...listing.good].sort((a, b) => startOf(b) - startOf(a));
  const reasons = new Map<string, string>();
  const keep = (id: string, reason: string) => {
    if (!reasons.has(id)) reasons.set(id, reason);
  };
  for (const { id } of newestFirst.slice(0, rules.keepLast)) keep(id, 'among the newest');
  const periods = [
    ['hour', rules.keepHourly, HOUR_MS, 0],
    ['day', rules.keepDaily, DAY_MS, 0],
    ['week', rules.keepWeekly, WEEK_MS, MONDAY_MS],
  ] as const;
  for (const [name, count, lengthMs, offsetMs] of periods) {
    const seen = new Set<number>();
    for (const manifest of newestFirst) {
      const period = Math.floor((startOf(manifest) - offsetMs) / lengthMs);
      if (seen.has(period)) continue;
      if (seen.size >= count) break;
      seen.add(period);
      keep(manifest.id, `newest of its ${name}`);
    }
  }
  for (const { id } of listing.unreadable) {
    for (const older of newestFirst) {
      if (older.id < id) keep(older.id, `backup ${id} cannot be read, and may add to it`);
    }
  }
  const unfinished = listing.unfinished.map((run) => {
    const isLeft = nowMs - run.aliveAtMs >= rules.unfinishedMs;
    const parent = run.begun?.parent ?? null;
    if (!isLeft && parent !== null) keep(parent, `run ${run.id} adds to it`);
    const reason = isLeft ? 'its run ended without a manifest' : 'its run may go on';
    return { id: run.id, kind: 'unfinished', keep: !isLeft, reason } as const;
  });
  keepParents(newestFirst, keep, reasons);
  return [
    ...newestFirst.map(({ id }) => {
      const reason = reasons.get(id);
      return {
        id,
        kind: 'backup',
        keep: reason !== undefined,
        reason: reason ?? 'past all rules',
      } as const;
    }),
    ...unfinished,
    ...listing.unreadable.map(
      ({ id, reason }) => ({ id, kind: 'unreadable', keep: true, reason }) as const,
    ),
  ];
}

/** Children come before their parents, so one pass is enough. */
function keepParents(
  newestFirst: readonly Manifest[],
  keep: (id: string, reason: string) => void,
  reasons: ReadonlyMap<string, string>,
): void {
  for (const { id, parent } of newestFirst) {
    if (parent !== null && reasons.has(id)) keep(parent, `backup ${id} adds to it`);
  }
}

/** By id: it begins with the time of the beginning, and a parent's is always the older one. */
function startOf({ startedAt }: Manifest): number {
  return Date.parse(startedAt);
}
