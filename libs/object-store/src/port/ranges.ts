/**
 * Ranges of bytes, checked at the door and against the object they are asked of.
 *
 * In: `GetOptions.range`. Out: first byte and the one after the last, within the object.
 */
import { ObjectStoreError } from './errors.js';
import { type GetOptions } from './object-store.js';

export interface ByteRange {
  readonly start: number;
  /** The byte after the last; undefined is the end of the object. */
  readonly end: number | undefined;
}

export function checkRange(range: GetOptions['range']): ByteRange {
  const { start = 0, end } = range ?? {};
  if (!isOffset(start)) throw invalid(`range.start must be a whole number from 0, not ${start}`);
  if (end !== undefined && (!isOffset(end) || end < start)) {
    throw invalid(`range.end must be a whole number from range.start ${start}, not ${end}`);
  }
  return { start, end };
}

/** Beyond the object there is nothing to read: an empty range at its end is fine, more is not. */
export function rangeWithin(
  { start, end }: ByteRange,
  sizeBytes: number,
): { start: number; end: number } {
  if (start > sizeBytes) {
    throw invalid(`range.start ${start} is beyond the ${sizeBytes} bytes of the object`);
  }
  return { start, end: Math.min(end ?? sizeBytes, sizeBytes) };
}

function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function invalid(message: string): ObjectStoreError {
  return new ObjectStoreError('STORE_INVALID', message);
}
