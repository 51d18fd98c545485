/**
 * Which folder a run writes to: one that an earlier run has left, or a new one.
 *
 * In: what was asked for, what lies unfinished. Out: an id with an attempt of its own. A run that still
 * says that it lives is left alone, unless it is the caller's own of before, or the caller holds a newer
 * token of the lease that it was begun under.
 */
import { BackupError } from '../backup-error.js';
import { RUN_SILENT_MS } from '../bounds.js';
import { type Unfinished } from '../catalog/backup-catalog.js';
import { type BackupClock } from '../clock.js';
import { type Begun, BEGUN_FORMAT } from '../format/begun.js';
import { makeBackupId } from '../format/names.js';

export type RunRequest = Pick<
  Begun,
  'runner' | 'clusterId' | 'kind' | 'parent' | 'keyId' | 'chunkBytes' | 'tables' | 'runToken'
>;

export interface RunPlace {
  readonly begun: Begun;
  readonly resumed: boolean;
}

export function chooseRun(
  request: RunRequest,
  unfinished: readonly Unfinished[],
  clock: BackupClock,
): RunPlace {
  const nowMs = clock.wallMs();
  const alive = unfinished.find(
    ({ aliveAtMs, begun }) =>
      begun &&
      begun.runner !== request.runner &&
      nowMs - aliveAtMs < RUN_SILENT_MS &&
      !isOvertaken(begun, request),
  );
  if (alive) {
    const text = `${alive.begun?.runner} is making backup ${alive.id} at the moment`;
    throw new BackupError('RUN_BUSY', text);
  }
  const attempt = clock.unique(4).toString('hex');
  const left = unfinished.findLast(({ begun }) => begun && isSameWork(begun, request))?.begun;
  if (left) {
    const { id, startedAt } = left;
    return { begun: { ...request, format: BEGUN_FORMAT, id, startedAt, attempt }, resumed: true };
  }
  const id = makeBackupId(nowMs, clock.unique(4));
  const startedAt = new Date(nowMs).toISOString();
  return { begun: { ...request, format: BEGUN_FORMAT, id, startedAt, attempt }, resumed: false };
}

/** Whoever began it has lost the lease since, and cannot finish it. */
function isOvertaken(begun: Begun, request: RunRequest): boolean {
  const { runToken } = begun;
  const newest = request.runToken;
  return runToken !== undefined && newest !== undefined && runToken < newest;
}

function isSameWork(begun: Begun, request: RunRequest): boolean {
  return (
    begun.clusterId === request.clusterId &&
    begun.kind === request.kind &&
    begun.parent === request.parent &&
    begun.keyId === request.keyId &&
    begun.chunkBytes === request.chunkBytes &&
    begun.tables.join('\n') === request.tables.join('\n')
  );
}
