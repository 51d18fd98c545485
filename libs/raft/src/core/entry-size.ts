/**
 * How large entries count, for limits on messages and on work handed out.
 *
 * Two measures: the payload alone (what a proposer pays for) and the entry with a flat allowance
 * for its index, term and framing (what memory and the network pay for).
 */
import type { Entry } from './types.js';

/** Allowance for index, term, type and framing of one entry. */
export const ENTRY_OVERHEAD_BYTES = 24;

export function entryBytes(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

export function entriesBytes(entries: readonly Entry[]): number {
  let total = 0;
  for (const entry of entries) total += entryBytes(entry);
  return total;
}

export function payloadBytes(entries: readonly Entry[]): number {
  let total = 0;
  for (const entry of entries) total += entry.data.length;
  return total;
}

/** The longest prefix that stays within `bytesMax`, but at least one entry. */
export function limitBytes(entries: readonly Entry[], bytesMax: number): readonly Entry[] {
  if (bytesMax === Number.POSITIVE_INFINITY) return entries;
  let total = 0;
  let count = 0;
  for (const entry of entries) {
    total += entryBytes(entry);
    if (total > bytesMax && count > 0) return entries.slice(0, count);
    count++;
  }
  return entries;
}
