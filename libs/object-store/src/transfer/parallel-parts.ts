/**
 * Parts on their way, a bounded number at once.
 *
 * In: parts as they come, and how one is sent. Out: all of them sent, in the order of their numbers,
 * or the first error. At most `inFlightMax` parts are held, and the one that is being cut.
 */
import { PART_NUMBER_MAX } from '../port/bounds.js';
import { ObjectStoreError } from '../port/errors.js';
import { type UploadedPart } from '../port/object-store.js';

export async function sendParts(
  parts: AsyncIterable<Buffer>,
  inFlightMax: number,
  send: (partNumber: number, bytes: Buffer) => Promise<UploadedPart>,
): Promise<UploadedPart[]> {
  const sent: UploadedPart[] = [];
  const inFlight = new Set<Promise<void>>();
  let failed: { readonly error: unknown } | undefined;
  let partNumber = 0;
  const launch = (number: number, bytes: Buffer): void => {
    const work = send(number, bytes)
      .then((part) => void sent.push(part))
      .catch((error: unknown) => void (failed ??= { error }))
      .finally(() => inFlight.delete(work));
    inFlight.add(work);
  };
  try {
    for await (const bytes of parts) {
      partNumber += 1;
      if (partNumber > PART_NUMBER_MAX) throw tooManyParts();
      launch(partNumber, bytes);
      if (inFlight.size >= inFlightMax) await Promise.race(inFlight);
      if (failed !== undefined) break;
    }
  } finally {
    await Promise.all(inFlight);
  }
  if (failed !== undefined) throw failed.error;
  return sent.sort((left, right) => left.partNumber - right.partNumber);
}

function tooManyParts(): ObjectStoreError {
  const message = `the body has more than ${PART_NUMBER_MAX} parts: larger parts are needed`;
  return new ObjectStoreError('STORE_INVALID', message);
}
