/**
 * Long transfers that go on where they were cut.
 *
 * In: a store and what to move. Out: the bytes of one object, however often the connection broke; or
 * an object made of parts, of which none is sent that is there already. Every transfer has a bounded
 * number of cuts in a row that it bears; progress begins the count anew.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ATTEMPTS_MAX, BACKOFF_MS_MAX, BACKOFF_MS_MIN, PART_NUMBER_MAX } from '../port/bounds.js';
import { ObjectStoreError } from '../port/errors.js';
import {
  type CompleteOptions,
  type GetOptions,
  type ObjectInfo,
  type ObjectStore,
  type ObjectUpload,
  type UploadedPart,
} from '../port/object-store.js';
import { md5HexOf } from './body.js';
import { cutParts } from './part-cutter.js';
import { sendParts } from './parallel-parts.js';

export interface ResumeOptions {
  readonly attemptsMax?: number;
  readonly backoffMsMin?: number;
}

/**
 * The bytes of one object, from `range.start` on. Ends in `OBJECT_CHANGED` if it was written anew
 * meanwhile: never a mixture.
 */
export async function* readResuming(
  store: ObjectStore,
  key: string,
  options: GetOptions & ResumeOptions = {},
): AsyncGenerator<Uint8Array> {
  const { attemptsMax = ATTEMPTS_MAX, backoffMsMin = BACKOFF_MS_MIN, range, ...rest } = options;
  let start = range?.start ?? 0;
  const end = range?.end;
  let { etag } = options;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const reading = await store.get(key, {
        ...rest,
        range: end === undefined ? { start } : { start, end },
        ...(etag === undefined ? {} : { etag }),
      });
      etag = reading.info.etag;
      for await (const piece of reading.body) {
        attempt = 1;
        start += piece.length;
        yield piece;
      }
      return;
    } catch (error) {
      const isCut = error instanceof ObjectStoreError && error.retryable;
      if (!isCut || attempt >= attemptsMax) throw error;
      await pause(attempt, backoffMsMin, options.signal);
    }
  }
}

export interface UploadPartsOptions extends CompleteOptions {
  /** The same every time that an upload is gone on with. */
  readonly partBytes?: number;
  readonly partsInFlight?: number;
}

/**
 * Completes an upload from its whole body, sending only the parts that are not there: those of
 * another size or MD5 are sent again. The body has to give the same bytes every time.
 */
export async function uploadParts(
  store: ObjectStore,
  upload: ObjectUpload,
  body: AsyncIterable<Uint8Array>,
  options: UploadPartsOptions = {},
): Promise<ObjectInfo> {
  const { partBytes = store.partBytes, partsInFlight = 2, ...rest } = options;
  const { ifAbsent, ...call } = rest;
  const there = new Map<number, UploadedPart>();
  for (const part of await upload.listParts(call)) there.set(part.partNumber, part);
  const parts = await sendParts(cutParts(body, partBytes), partsInFlight, async (number, bytes) => {
    const sent = there.get(number);
    if (sent !== undefined && isSame(sent, bytes)) return sent;
    return await upload.putPart(number, bytes, call);
  });
  if (parts.length === 0 || parts.length > PART_NUMBER_MAX) {
    throw new ObjectStoreError('STORE_INVALID', `upload of ${upload.key}: ${parts.length} parts`);
  }
  return await upload.complete(parts, ifAbsent === undefined ? call : { ...call, ifAbsent });
}

function isSame({ sizeBytes, md5Hex }: UploadedPart, bytes: Uint8Array): boolean {
  return sizeBytes === bytes.length && md5Hex === md5HexOf(bytes);
}

async function pause(
  attempt: number,
  backoffMsMin: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const backoffMs = Math.min(BACKOFF_MS_MAX, backoffMsMin * 2 ** (attempt - 1));
  try {
    await sleep(backoffMs, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    throw new ObjectStoreError('STORE_ABORTED', 'the transfer was given up', { cause: error });
  }
}
