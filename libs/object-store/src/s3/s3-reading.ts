/**
 * Objects of a bucket on their way out.
 *
 * In: a key, a range, the etag it has to have. Out: what is known of the object, and its bytes. A
 * connection that ends early ends the body with a retryable error, never as if it were whole.
 */
import { type Readable } from 'node:stream';
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
} from '@aws-sdk/client-s3';
import { type CallScope } from '../port/call-scope.js';
import { ObjectStoreError } from '../port/errors.js';
import { type ObjectInfo, type ObjectReading } from '../port/object-store.js';
import { type ByteRange, rangeWithin } from '../port/ranges.js';
import { type PieceSource, readingOf } from '../transfer/reading.js';
import { type S3Connection } from './s3-connection.js';
import { isInvalidRange, toS3Error } from './s3-errors.js';

export interface S3Head {
  readonly info: ObjectInfo;
  readonly metadata: Readonly<Record<string, string>>;
}

export async function headObject(
  connection: S3Connection,
  scope: CallScope,
  key: string,
): Promise<S3Head> {
  const { bucket, prefix } = connection.settings;
  const command = (): HeadObjectCommand => {
    return new HeadObjectCommand({ Bucket: bucket, Key: prefix + key });
  };
  const head = await connection.send(scope, `head ${key}`, (client, options) => {
    return client.send(command(), options);
  });
  return {
    info: {
      key,
      sizeBytes: head.ContentLength ?? 0,
      modifiedAtMs: head.LastModified?.getTime() ?? 0,
      etag: bareEtag(head.ETag),
    },
    metadata: head.Metadata ?? {},
  };
}

/** The scope is closed with the reading, or here if there is none. */
export async function readObjectOf(
  connection: S3Connection,
  scope: CallScope,
  key: string,
  range: ByteRange,
  etag: string | undefined,
): Promise<ObjectReading> {
  const whole = range.start === 0 && range.end === undefined;
  if (range.end === range.start) return await emptyReading(connection, scope, key, range, etag);
  const last = range.end === undefined ? '' : range.end - 1;
  try {
    const answer = await connection.send(scope, `get ${key}`, (client, options) => {
      const { bucket, prefix } = connection.settings;
      const command = new GetObjectCommand({
        Bucket: bucket,
        Key: prefix + key,
        ...(whole ? {} : { Range: `bytes=${range.start}-${last}` }),
        ...(etag === undefined ? {} : { IfMatch: `"${etag}"` }),
      });
      return client.send(command, options);
    });
    return bodyOf(key, range, whole, answer, scope);
  } catch (error) {
    const cause = error instanceof ObjectStoreError ? error.cause : error;
    if (isInvalidRange(cause)) return await emptyReading(connection, scope, key, range, etag);
    throw error;
  }
}

function bodyOf(
  key: string,
  range: ByteRange,
  whole: boolean,
  answer: GetObjectCommandOutput,
  scope: CallScope,
): ObjectReading {
  const { ContentRange: contentRange, ContentLength: length = 0 } = answer;
  const stream = answer.Body as Readable;
  let totalBytes = length;
  if (!whole) {
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(contentRange ?? '') ?? [];
    if (start === undefined || total === undefined || Number(start) !== range.start) {
      stream.destroy();
      const message = `get ${key}: the server did not answer with the range asked for`;
      throw new ObjectStoreError('STORE_UNSUPPORTED', message);
    }
    totalBytes = Number(total);
  }
  const info: ObjectInfo = {
    key,
    sizeBytes: totalBytes,
    modifiedAtMs: answer.LastModified?.getTime() ?? 0,
    etag: bareEtag(answer.ETag),
  };
  const { start, end } = rangeWithin(range, totalBytes);
  const owed = {
    sizeBytes: end - start,
    wrongSize: (sizeBytes: number) => {
      const message = `get ${key}: ${sizeBytes} bytes came of ${end - start}`;
      return new ObjectStoreError('STORE_UNAVAILABLE', message);
    },
    // What breaks here is the way: bytes came, and more were promised.
    toError: (error: unknown) => {
      const known = toS3Error(error, `get ${key}`);
      if (known.code !== 'STORE_FAILED') return known;
      return new ObjectStoreError('STORE_UNAVAILABLE', known.message, { cause: error });
    },
  };
  return readingOf(info, streamSource(stream), owed, scope);
}

/** Of a range without bytes there is nothing to fetch, but the object has to be there. */
async function emptyReading(
  connection: S3Connection,
  scope: CallScope,
  key: string,
  range: ByteRange,
  etag: string | undefined,
): Promise<ObjectReading> {
  const { info } = await headObject(connection, scope, key);
  if (etag !== undefined && etag !== info.etag) {
    throw new ObjectStoreError('OBJECT_CHANGED', `${JSON.stringify(key)} was written anew`);
  }
  const { start, end } = rangeWithin(range, info.sizeBytes);
  if (end > start) {
    const message = `get ${key}: the server refused the range ${start} to ${end}`;
    throw new ObjectStoreError('STORE_UNAVAILABLE', message);
  }
  const source = { read: async () => undefined, close: async () => undefined };
  const owed = {
    sizeBytes: 0,
    wrongSize: () => new ObjectStoreError('OBJECT_CORRUPT', `get ${key}: bytes where none are`),
    toError: (error: unknown) => error,
  };
  return readingOf(info, source, owed, scope);
}

function streamSource(stream: Readable): PieceSource {
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array, undefined>;
  // Whoever waits for a piece is told; an error after that has nobody to be told to.
  stream.on('error', () => undefined);
  return {
    read: async () => (await pieces.next()).value,
    close: async () => void stream.destroy(),
  };
}

export function bareEtag(etag: string | undefined): string {
  return (etag ?? '').replace(/^W\//, '').replaceAll('"', '');
}
