/**
 * What a new runner of the schedule finds undone. Pure: what is in the store and a time in, a kind of
 * backup out.
 *
 *   a run that an older token has begun and not finished --> it is gone on with
 *   a backup was due while nobody held the lease         --> it is made now
 *
 * Runs that were asked for by hand are left to whoever asked.
 */
import { type BackupKind, type BackupListing } from '@flotilla/backup';

/** A run that is silent for longer is left to the next time that is due, and then to a prune. */
export const LEFT_MS_MAX = 3_600_000;
/** Nobody holds the lease for longer than this, as long as there is an app that can. */
export const MISSED_MS_MAX = 300_000;

export interface Missed {
  readonly kind: BackupKind;
  /** When it was due. */
  readonly atMs: number;
}

export function leftWork(
  { good, unfinished }: BackupListing,
  token: number | undefined,
  missed: Missed | undefined,
  nowMs: number,
): BackupKind | undefined {
  const left = unfinished.findLast(({ begun, aliveAtMs }) => {
    const before = begun?.runToken;
    const isOlder = before !== undefined && token !== undefined && before < token;
    return isOlder && nowMs - aliveAtMs < LEFT_MS_MAX;
  });
  if (left?.begun) return left.begun.kind;
  if (!missed || nowMs - missed.atMs > MISSED_MS_MAX) return undefined;
  const began = [...good, ...unfinished.flatMap(({ begun }) => begun ?? [])];
  const isDone = began.some(({ startedAt }) => Date.parse(startedAt) >= missed.atMs);
  return isDone ? undefined : missed.kind;
}
