/**
 * Many deletions where a store offers only one at a time.
 *
 * In: keys. Out: those that are not known to be gone, each with its error; the rest goes on.
 */
import { DELETE_MANY_MAX } from './bounds.js';
import { ObjectStoreError } from './errors.js';
import { checkKey } from './keys.js';
import { type DeleteFailure } from './object-store.js';

export async function deleteEach(
  keys: readonly string[],
  signal: AbortSignal,
  deleteOne: (key: string) => Promise<void>,
): Promise<readonly DeleteFailure[]> {
  const failures: DeleteFailure[] = [];
  for (const key of checkKeys(keys)) {
    signal.throwIfAborted();
    try {
      await deleteOne(key);
    } catch (error) {
      failures.push({ key, error: error instanceof Error ? error : new Error(String(error)) });
    }
  }
  return failures;
}

export function checkKeys(keys: readonly string[]): readonly string[] {
  if (keys.length > DELETE_MANY_MAX) {
    const message = `keys: ${keys.length} are more than ${DELETE_MANY_MAX}`;
    throw new ObjectStoreError('STORE_INVALID', message);
  }
  for (const [at, key] of keys.entries()) checkKey(key, `keys[${at}]`);
  return keys;
}
