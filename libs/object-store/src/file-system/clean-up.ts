/**
 * What dead writers left in a folder.
 *
 * In: how long nothing must have been done about it. Out: how much was dropped. Never looks into
 * `objects/`: what has a name there is no leftover.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ObjectStoreError } from '../port/errors.js';
import { type CleanUpReport } from '../port/object-store.js';
import { entriesOf } from './durable-files.js';
import { isErrno } from './file-errors.js';
import { type FileUploads } from './file-uploads.js';

export async function leftovers(
  temporary: string,
  uploads: FileUploads,
  olderThanMs: number,
  signal: AbortSignal,
): Promise<CleanUpReport> {
  if (!Number.isFinite(olderThanMs) || olderThanMs < 0) {
    throw new ObjectStoreError('STORE_INVALID', `olderThanMs must be from 0, not ${olderThanMs}`);
  }
  const beforeMs = Date.now() - olderThanMs;
  let temporaryFiles = 0;
  for (const { name } of await entriesOf(temporary)) {
    signal.throwIfAborted();
    if (!(await isOlder(join(temporary, name), beforeMs))) continue;
    await rm(join(temporary, name), { recursive: true, force: true });
    temporaryFiles += 1;
  }
  let dropped = 0;
  for (const uploadId of await uploads.folders()) {
    signal.throwIfAborted();
    const changedAtMs = await uploads.changedAtMs(uploadId);
    if (changedAtMs === undefined || changedAtMs > beforeMs) continue;
    await uploads.remove(uploadId);
    dropped += 1;
  }
  return { uploads: dropped, temporaryFiles };
}

async function isOlder(path: string, beforeMs: number): Promise<boolean> {
  try {
    return (await stat(path)).mtimeMs <= beforeMs;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
