/**
 * Parts of uploads, checked at the door of every store alike.
 *
 * In: part numbers, sizes and lists for `complete`. Out: nothing, or `STORE_INVALID`.
 */
import { PART_BYTES_MAX, PART_NUMBER_MAX } from './bounds.js';
import { ObjectStoreError } from './errors.js';
import { type UploadedPart } from './object-store.js';

export function checkPart(partNumber: number, bytes: Uint8Array): void {
  checkPartNumber(partNumber);
  if (bytes.length > PART_BYTES_MAX) {
    throw invalid(`part ${partNumber} has ${bytes.length} bytes, more than ${PART_BYTES_MAX}`);
  }
}

/** Sorted by number, each once, and at least one: an empty object is written by `put`. */
export function checkParts(parts: readonly UploadedPart[]): readonly UploadedPart[] {
  const first = parts[0];
  if (first === undefined) throw invalid('parts is empty');
  checkPartNumber(first.partNumber);
  for (const [at, part] of parts.entries()) {
    const before = parts[at - 1];
    if (before === undefined) continue;
    checkPartNumber(part.partNumber);
    if (part.partNumber <= before.partNumber) {
      throw invalid(`parts: ${part.partNumber} follows ${before.partNumber}`);
    }
  }
  return parts;
}

function checkPartNumber(partNumber: number): void {
  if (Number.isSafeInteger(partNumber) && partNumber >= 1 && partNumber <= PART_NUMBER_MAX) return;
  throw invalid(`partNumber must be from 1 to ${PART_NUMBER_MAX}, not ${partNumber}`);
}

function invalid(message: string): ObjectStoreError {
  return new ObjectStoreError('STORE_INVALID', message);
}
