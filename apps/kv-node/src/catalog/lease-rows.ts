/**
 * The transactions of the catalog that change leases and sessions.
 *
 * Pure: in goes what was read, out comes the command to propose. Every change is conditional on the
 * values it was made from. That a key is absent can only be stated alone (as the failure of an existence
 * test), so rows that come into being go with a counter that each of them changes, or by themselves.
 */
import { flotillaV1 } from '@flotilla/proto';
import {
  compare,
  encodeLease,
  leaseKey,
  purposeKey,
  PURPOSE_COUNT_KEY,
  put,
  remove,
  SESSION_PREFIX,
  SESSION_SEQUENCE_KEY,
  txn,
  type LeaseRow,
} from './catalog-rows.js';

export type SessionRow = flotillaV1.SessionRow;

/** A command, and which branch of its answer means that it was done. */
export interface Conditional {
  readonly command: Buffer;
  readonly doneBy: boolean;
}

/** A session as it was read. */
export interface StoredSession {
  readonly holder: string;
  readonly stored: Buffer;
}

export interface LeaseChange {
  readonly tableId: number;
  readonly stored: Buffer;
  readonly row: LeaseRow;
}

export function sessionKey(holder: string): Buffer {
  return Buffer.concat([SESSION_PREFIX, Buffer.from(holder)]);
}

export function encodeSession(row: SessionRow): Buffer {
  return Buffer.from(flotillaV1.SessionRow.encode(row).finish());
}

/** The token that a new session gets, given the stored sequence. */
export function nextSession(sequence: Buffer | undefined): number {
  return Number(sequence?.toString() ?? '0') + 1;
}

/**
 * Writes the row of a session if the sequence still is what its token was made from. Those that are over
 * go in the same step, if nothing was heard of them meanwhile.
 */
export function openSessionCommand(
  holder: string,
  row: SessionRow,
  sequence: Buffer | undefined,
  over: readonly StoredSession[],
): Conditional {
  const puts = [
    put(SESSION_SEQUENCE_KEY, Buffer.from(row.token.toString())),
    put(sessionKey(holder), encodeSession(row)),
  ];
  if (!sequence) {
    return { command: txn(compare(SESSION_SEQUENCE_KEY, undefined), [], puts), doneBy: false };
  }
  const others = over.filter((one) => one.holder !== holder);
  const conditions = others.map((one) => compare(sessionKey(one.holder), one.stored));
  const removals = others.map((one) => remove(sessionKey(one.holder)));
  const condition = [compare(SESSION_SEQUENCE_KEY, sequence), ...conditions];
  return { command: txn(condition, [...removals, ...puts], []), doneBy: true };
}

export function endSessionCommand({ holder, stored }: StoredSession): Conditional {
  const key = sessionKey(holder);
  return { command: txn(compare(key, stored), [remove(key)], []), doneBy: true };
}

/** Changes leases, all or none: if each still is what was read, and so is each session that is over. */
export function leasesCommand(
  changes: readonly LeaseChange[],
  over: readonly StoredSession[],
): Conditional {
  const conditions = [
    ...changes.map(({ tableId, stored }) => compare(leaseKey(tableId), stored)),
    ...over.map(({ holder, stored }) => compare(sessionKey(holder), stored)),
  ];
  const puts = changes.map(({ tableId, row }) => put(leaseKey(tableId), encodeLease(row)));
  return { command: txn(conditions, puts, []), doneBy: true };
}

/**
 * Writes the first row of a purpose if there still are `count` of them. No row comes under a purpose
 * without the count being changed, so that it still is the same says that there is none.
 */
export function newPurposeCommand(
  name: string,
  row: LeaseRow,
  count: Buffer | undefined,
): Conditional {
  const next = Buffer.from(String(Number(count?.toString() ?? '0') + 1));
  const puts = [put(PURPOSE_COUNT_KEY, next), put(purposeKey(name), encodeLease(row))];
  const condition = compare(PURPOSE_COUNT_KEY, count);
  return count
    ? { command: txn(condition, puts, []), doneBy: true }
    : { command: txn(condition, [], puts), doneBy: false };
}
