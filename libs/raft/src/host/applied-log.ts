/**
 * What of a group's log may be told to others: entries that this replica has applied.
 *
 * In: the core of a group, and the index its state has reached. Out: entries in order, read without
 * holding the loop. What is durable comes from the log store, what is on its way there from the core:
 * the store alone may still hold entries that another leader has overwritten.
 */
import { StorageError, type Entry, type LogIndex, type RawNode } from '../core/index.js';
import type { GroupLog } from '../log-store/index.js';

/** Entries in one answer, however small they are. */
export const APPLIED_ENTRIES_MAX = 4_096;

/**
 * Applied entries from `from` on, within `bytesMax` but at least one; none if there is none yet, and
 * undefined if the log does not hold the first one any more.
 */
export async function appliedEntries(
  node: RawNode,
  stored: GroupLog,
  appliedIndex: LogIndex,
  from: LogIndex,
  bytesMax: number,
): Promise<readonly Entry[] | undefined> {
  const { log } = node.raft;
  if (from < log.firstIndex()) return undefined;
  const high = Math.min(appliedIndex, log.lastIndex(), from + APPLIED_ENTRIES_MAX - 1) + 1;
  if (from >= high) return [];
  const { offset } = log.unstable;
  if (from >= offset) return log.slice(from, high, bytesMax);
  try {
    return await stored.entriesLater(from, Math.min(high, offset), bytesMax);
  } catch (error) {
    if (error instanceof StorageError && error.code === 'compacted') return undefined;
    throw error;
  }
}
