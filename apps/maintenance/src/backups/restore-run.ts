/**
 * Restores tables as planned, some at a time.
 *
 * In: a plan. Out: what each table became. One that fails ends the others; what they have filled so far
 * is gone on with when the same is asked for again.
 */
import {
  inParallel,
  type RestoredTable,
  type RestoreProgress,
  restoreTable,
  type ShadowWriter,
  type TableSource,
} from '@flotilla/backup';
import { type PlannedTable, type RestorePlan } from './restore-plan.js';

export type RestoreListener = (table: PlannedTable, progress: RestoreProgress) => void;

export interface RestoredOne {
  readonly planned: PlannedTable;
  readonly restored: RestoredTable;
}

export interface RestoreRunParts {
  readonly shadows: ShadowWriter;
  readonly source: TableSource;
  readonly signal: AbortSignal;
  readonly listener: RestoreListener;
  readonly atOnce: number;
}

export function runRestore(
  { shadows, signal: outer, listener, atOnce }: RestoreRunParts,
  plan: RestorePlan,
): Promise<readonly RestoredOne[]> {
  return inParallel(plan.tables, atOnce, outer, async (planned, signal) => {
    const parts = {
      shadows,
      signal,
      ...planned.sources(signal),
      onProgress: (progress: RestoreProgress) => listener(planned, progress),
    };
    const { as: table, replacesTableId, purpose, revision, isDrill } = planned;
    const replaceShadow = planned.replaceUnfinished;
    const target = { table, replacesTableId, purpose, revision, replaceShadow, isDrill };
    return { planned, restored: await restoreTable(parts, target) };
  });
}
