/**
 * What keeps a run that was overtaken from committing: the tokens of runners, seen in the store itself.
 *
 *   lease taken, token 7 --> runners/<cluster>/...7.json --> older tokens find it and give up
 *
 * In: the fencing token of a lease. Out: a fence that is asked before a run does what counts. It looks at
 * the store and not at a clock: a process that slept through the loss of its lease is found out too. Must
 * never delete the newest token.
 */
import { BackupError } from '../backup-error.js';
import { fenceFolder, fenceName } from '../format/names.js';
import { sealJson } from '../format/sealed-json.js';
import { type BackupObjects } from './backup-objects.js';

export const FENCE_FORMAT = 'flotilla.backup.runner/1';
const FENCE_BYTES_MAX = 16 * 1024;

/** Asked before a run says that it is whole, and before anything is deleted. */
export interface RunFence {
  readonly token: number;
  /** Throws `RUN_FENCED` once a newer token was seen. */
  check(signal?: AbortSignal): Promise<void>;
}

export interface Runner {
  readonly clusterId: string;
  /** Grows each time somebody takes the lease. */
  readonly token: number;
  readonly holder: string;
}

/** Makes a token known. From here on runs with an older one are refused. */
export async function raiseFence(
  objects: BackupObjects,
  { clusterId, token, holder }: Runner,
  signal?: AbortSignal,
): Promise<RunFence> {
  const name = fenceName(clusterId, token);
  const check = async (by?: AbortSignal) => {
    const newer = await objects.firstAfter(fenceFolder(clusterId), name, by);
    if (newer !== undefined) throw overtaken(token, newer);
  };
  await check(signal);
  const bytes = sealJson({ format: FENCE_FORMAT, clusterId, token, holder }, undefined);
  const isOurs = await objects.writeFirst(name, bytes, FENCE_BYTES_MAX, signal);
  if (!isOurs) throw overtaken(token, name);
  await dropOlder(objects, clusterId, name, signal);
  return { token, check };
}

/** The newest one says all that they say. */
async function dropOlder(
  objects: BackupObjects,
  clusterId: string,
  name: string,
  signal?: AbortSignal,
): Promise<void> {
  const older: string[] = [];
  for await (const { key } of objects.list(fenceFolder(clusterId), signal)) {
    if (key >= name) break;
    older.push(key);
  }
  await objects.delete(older, signal);
}

function overtaken(token: number, seen: string): BackupError {
  const text = `token ${token}: another runner has taken over, see ${seen}`;
  return new BackupError('RUN_FENCED', text);
}
