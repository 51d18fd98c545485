/**
 * What a wish for a lease may say. What is wrong is refused here with the name of the field; numbers are
 * plain ones behind this door.
 */
import { invalid } from '../kv/errors.js';

export const LEASE_TTL_MIN_MS = 100;
export const LEASE_TTL_MAX_MS = 5 * 60_000;
export const HOLDER_BYTES_MAX = 255;
const PURPOSE = /^[a-z0-9-]{1,64}$/;
/** Larger numbers are no ids or tokens. */
const NUMBER_MAX = BigInt(Number.MAX_SAFE_INTEGER);

export function checkedHolder(holder: string): string {
  if (holder === '') throw invalid('holder must be set');
  if (Buffer.byteLength(holder) > HOLDER_BYTES_MAX) {
    throw invalid(`holder must be at most ${HOLDER_BYTES_MAX} bytes long`);
  }
  return holder;
}

export function checkedPurpose(purpose: string): string {
  if (PURPOSE.test(purpose)) return purpose;
  throw invalid('purpose must be 1 to 64 characters, all of them a-z, 0-9 or "-"');
}

export function checkedTtlMs(ttlMs: bigint): number {
  if (ttlMs >= BigInt(LEASE_TTL_MIN_MS) && ttlMs <= BigInt(LEASE_TTL_MAX_MS)) return Number(ttlMs);
  throw invalid(`ttl_ms must be from ${LEASE_TTL_MIN_MS} to ${LEASE_TTL_MAX_MS}`);
}

export function checkedNumber(value: bigint, field: string): number {
  if (value > NUMBER_MAX) throw invalid(`${field} is too large`);
  return Number(value);
}
