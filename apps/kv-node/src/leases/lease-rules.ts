/**
 * Who gets a lease, by what stands in the catalog. Pure: a row, a wish and a time in, the next row out.
 *
 *   nobody's or over --> taken, token + 1 --> held --> given back or over
 *
 * A lease by purpose is over at a time that lies in its row, a lease of a table as soon as the session is
 * under which it was taken. Tokens only grow: whoever lost a lease by a clock that is wrong writes nothing.
 */
import { type LeaseRow } from '../catalog/catalog-rows.js';
import { type LeaseInfo } from '../catalog/catalog-state.js';

export interface TimedWish {
  readonly holder: string;
  /** The one that the holder has, to hold on; 0 to take the lease. */
  readonly token: number;
  readonly ttlMs: number;
}

/** The row that gives the holder what it wishes; undefined if it cannot have it. */
export function leaseTaken(
  current: LeaseInfo | undefined,
  { holder, token, ttlMs }: TimedWish,
  nowMs: number,
): LeaseRow | undefined {
  const expiresAtMs = BigInt(Math.ceil(nowMs + ttlMs));
  const row = { holder, expiresAtMs, session: 0n };
  if (token > 0) {
    const isOwn = current?.holder === holder && current.token === token;
    return isOwn ? { ...row, token: BigInt(token) } : undefined;
  }
  if (!current) return { ...row, token: 1n };
  // A holder that asks anew has forgotten that it held it: what it sent before must not count.
  const isFree = current.holder === '' || current.holder === holder;
  if (!isFree && current.expiresAtMs > nowMs) return undefined;
  return { ...row, token: BigInt(current.token) + 1n };
}

/** The row of a table that is taken under a session; undefined if another session that lives has it. */
export function leaseUnder(
  current: LeaseInfo | undefined,
  { holder, session }: { readonly holder: string; readonly session: number },
  isAlive: (lease: LeaseInfo) => boolean,
): LeaseRow | undefined {
  const isOthers = current && current.holder !== '' && current.holder !== holder;
  if (isOthers && isAlive(current)) return undefined;
  const token = BigInt(current?.token ?? 0) + 1n;
  return { holder, token, expiresAtMs: 0n, session: BigInt(session) };
}

/** The row after the holder has given it back, its token kept; undefined if it is not the holder's. */
export function leaseGivenBack(
  current: LeaseInfo | undefined,
  { holder, token }: Pick<TimedWish, 'holder' | 'token'>,
): LeaseRow | undefined {
  if (current?.holder !== holder || current.token !== token) return undefined;
  return { holder: '', token: BigInt(token), expiresAtMs: 0n, session: 0n };
}
