/**
 * What a key may be, told at the door of every store alike.
 *
 * In: text from a caller. Out: the same text, or `STORE_INVALID` with what is wrong about it. A key
 * that passes names the same object in a folder as in a bucket, and can never leave either.
 */
import { KEY_BYTES_MAX, LIST_PAGE_MAX } from './bounds.js';
import { ObjectStoreError } from './errors.js';

export function checkKey(key: string, field = 'key'): string {
  checkText(key, field);
  if (key === '') throw invalid(field, key, 'is empty');
  for (const segment of key.split('/')) {
    if (segment === '') {
      throw invalid(field, key, 'begins or ends with a slash, or has two in a row');
    }
    if (segment === '.' || segment === '..') {
      throw invalid(field, key, `has a segment "${segment}"`);
    }
  }
  return key;
}

/** A prefix is the beginning of a key, cut anywhere; it may be empty. */
export function checkPrefix(prefix: string, field = 'prefix'): string {
  checkText(prefix, field);
  const segments = prefix.split('/');
  segments.pop();
  if (segments.includes('')) {
    throw invalid(field, prefix, 'begins with a slash, or has two in a row');
  }
  return prefix;
}

/** Where a list goes on: any text, for a store may hold what others named. */
export function checkAfter(after: string, field = 'after'): string {
  checkText(after, field);
  return after;
}

export function isKey(text: string): boolean {
  try {
    checkKey(text);
    return true;
  } catch (error) {
    if (error instanceof ObjectStoreError) return false;
    throw error;
  }
}

export function checkLimit(limit: number | undefined, max = LIST_PAGE_MAX): number {
  if (limit === undefined) return max;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > max) {
    throw new ObjectStoreError('STORE_INVALID', `limit must be from 1 to ${max}, not ${limit}`);
  }
  return limit;
}

/** The order of lists: that of the bytes of UTF-8, which is not the one of JavaScript's `<`. */
export function compareKeys(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function checkText(text: string, field: string): void {
  if (typeof text !== 'string') {
    throw new ObjectStoreError('STORE_INVALID', `${field} must be text, not ${typeof text}`);
  }
  if (!isWellFormed(text)) throw invalid(field, text, 'has half a surrogate pair');
  if (text.includes('\0')) throw invalid(field, text, 'has a NUL');
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > KEY_BYTES_MAX) {
    throw invalid(field, text, `has ${sizeBytes} bytes, more than ${KEY_BYTES_MAX}`);
  }
}

function isWellFormed(text: string): boolean {
  return Buffer.from(text).toString() === text;
}

function invalid(field: string, text: string, what: string): ObjectStoreError {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
  return new ObjectStoreError('STORE_INVALID', `${field} ${shown} ${what}`);
}
