/**
 * The check of an entry of a table's log: by it a copy says which history it holds (docs/replication.md).
 *
 *     term, low 32 bits | CRC-32C of term, length and CRC-32C of each of the last entries up to it
 *
 * In: the last entries as marks, the one that is checked last. Out: 64 bits. Two entries of the same index with
 * different checks are of different histories. That of one entry alone would say little: those that elections
 * write are all the same. What lies before these entries is not covered.
 */
import { crc32c } from './crc32c.js';

/** Entries that a check covers, where the log has as many. */
export const ENTRIES_PER_CHECK = 16;

const TWO_32 = 2 ** 32;
const TERM_SHIFT = 32n;
const MARK_BYTES = 3 * 4;

/** What a check takes of an entry. */
export interface EntryMark {
  readonly term: number;
  readonly bytes: number;
  readonly checksum: number;
}

/** `command` is empty for an entry that only moves the index. */
export function markOf(term: number, command: Uint8Array): EntryMark {
  return { term, bytes: command.length, checksum: crc32c(command) };
}

export function entryCheck(marks: readonly EntryMark[]): bigint {
  const covered = Buffer.allocUnsafe(marks.length * MARK_BYTES);
  let at = 0;
  for (const { term, bytes, checksum } of marks) {
    at = covered.writeUInt32LE(term % TWO_32, at);
    at = covered.writeUInt32LE(bytes, at);
    at = covered.writeUInt32LE(checksum, at);
  }
  const newest = marks.at(-1)?.term ?? 0;
  return (BigInt(newest % TWO_32) << TERM_SHIFT) | BigInt(crc32c(covered));
}

/** Whether the half of a check that tells the term is of this one. */
export function isOfTerm(check: bigint, term: number): boolean {
  return check >> TERM_SHIFT === BigInt(term % TWO_32);
}
