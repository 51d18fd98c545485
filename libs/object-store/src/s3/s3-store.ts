/**
 * Objects in a bucket of Amazon S3, or of a server that speaks as it does.
 *
 * In and out: the port. Small bodies are one request; larger ones go up in parts, a bounded number
 * at once, and become visible by the last request. A write that failed leaves no upload behind if
 * the server can still be told; else `cleanUp` finds it.
 */
import { createHash, randomUUID } from 'node:crypto';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { UPLOADS_PAGE_MAX } from '../port/bounds.js';
import { CallScope, inScope } from '../port/call-scope.js';
import { checkKeys } from '../port/delete-each.js';
import { hasCode, ObjectStoreError } from '../port/errors.js';
import { checkAfter, checkKey, checkLimit, checkPrefix } from '../port/keys.js';
import {
  type CallOptions,
  type CleanUpOptions,
  type CleanUpReport,
  type DeleteFailure,
  type GetOptions,
  type ListOptions,
  type ListUploadsOptions,
  type ObjectBody,
  type ObjectInfo,
  type ObjectPage,
  type ObjectReading,
  type ObjectStore,
  type ObjectUpload,
  type PutOptions,
  type UploadsPage,
} from '../port/object-store.js';
import { checkPart, checkParts } from '../port/parts.js';
import { checkRange } from '../port/ranges.js';
import { checkedPieces, leave, piecesOf } from '../transfer/body.js';
import { sendParts } from '../transfer/parallel-parts.js';
import { cutParts } from '../transfer/part-cutter.js';
import { probeConditionalWrites } from './conditional-writes.js';
import { S3Connection } from './s3-connection.js';
import { deleteObject, deleteObjects, listObjects } from './s3-listing.js';
import { bareEtag, headObject, readObjectOf } from './s3-reading.js';
import { type S3Settings } from './s3-settings.js';
import { existsError, S3Uploads, type UploadName, WRITE_ID } from './s3-uploads.js';

/** For the request that tells a server to forget a failed upload. */
const FORGET_MS_MAX = 10_000;

export class S3Store implements ObjectStore {
  readonly url: string;
  readonly partBytes: number;

  private readonly connection: S3Connection;
  private readonly uploads: S3Uploads;
  private readonly closing = new AbortController();
  private conditionalWrites: boolean | undefined;

  constructor(private readonly settings: S3Settings) {
    this.url = `s3://${settings.bucket}/${settings.prefix}`;
    this.partBytes = settings.partBytes;
    this.connection = new S3Connection(settings);
    this.uploads = new S3Uploads(this.connection);
    if (settings.conditionalWrites !== 'probe') {
      this.conditionalWrites = settings.conditionalWrites === 'yes';
    }
  }

  put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    checkKey(key);
    return this.call(`put ${key}`, options, (scope) => {
      return this.write(scope, key, body, options, false);
    });
  }

  putIfAbsent(key: string, body: ObjectBody, options: PutOptions = {}): Promise<ObjectInfo> {
    checkKey(key);
    return this.call(`putIfAbsent ${key}`, options, async (scope) => {
      if (!(await this.offersConditions(scope))) {
        const message = `putIfAbsent ${key}: ${this.url} offers no conditional writes`;
        throw new ObjectStoreError('STORE_UNSUPPORTED', message);
      }
      return await this.write(scope, key, body, options, true);
    });
  }

  canPutIfAbsent(options?: CallOptions): Promise<boolean> {
    return this.call('canPutIfAbsent', options, (scope) => this.offersConditions(scope));
  }

  async get(key: string, options: GetOptions = {}): Promise<ObjectReading> {
    checkKey(key);
    const range = checkRange(options.range);
    const scope = new CallScope(`get ${key}`, options, this.closing.signal);
    try {
      return await readObjectOf(this.connection, scope, key, range, options.etag);
    } catch (error) {
      scope.close();
      throw scope.reasonOr(error);
    }
  }

  head(key: string, options?: CallOptions): Promise<ObjectInfo> {
    checkKey(key);
    return this.call(`head ${key}`, options, async (scope) => {
      return (await headObject(this.connection, scope, key)).info;
    });
  }

  list(prefix: string, options: ListOptions = {}): Promise<ObjectPage> {
    checkPrefix(prefix);
    const limit = checkLimit(options.limit);
    const { after } = options;
    if (after !== undefined) checkAfter(after);
    return this.call(`list ${prefix}`, options, (scope) => {
      return listObjects(this.connection, scope, prefix, after, limit);
    });
  }

  delete(key: string, options?: CallOptions): Promise<void> {
    checkKey(key);
    return this.call(`delete ${key}`, options, (scope) => {
      return deleteObject(this.connection, scope, key);
    });
  }

  deleteMany(keys: readonly string[], options?: CallOptions): Promise<readonly DeleteFailure[]> {
    checkKeys(keys);
    return this.call('deleteMany', options, (scope) => {
      return deleteObjects(this.connection, scope, keys);
    });
  }

  startUpload(key: string, options?: CallOptions): Promise<ObjectUpload> {
    checkKey(key);
    return this.call(`startUpload ${key}`, options, async (scope) => {
      return this.handleOf(await this.uploads.start(scope, key));
    });
  }

  resumeUpload(key: string, uploadId: string, options?: CallOptions): Promise<ObjectUpload> {
    checkKey(key);
    return this.call(`resumeUpload ${key}`, options, async (scope) => {
      await this.uploads.find(scope, { key, uploadId });
      return this.handleOf({ key, uploadId });
    });
  }

  listUploads(prefix: string, options: ListUploadsOptions = {}): Promise<UploadsPage> {
    checkPrefix(prefix);
    const limit = checkLimit(options.limit, UPLOADS_PAGE_MAX);
    return this.call(`listUploads ${prefix}`, options, (scope) => {
      return this.uploads.list(scope, prefix, options.after, limit);
    });
  }

  cleanUp({ olderThanMs, ...options }: CleanUpOptions): Promise<CleanUpReport> {
    return this.call('cleanUp', options, async (scope) => {
      const beforeMs = Date.now() - olderThanMs;
      let dropped = 0;
      let after;
      do {
        const page: UploadsPage = await this.uploads.list(scope, '', after, UPLOADS_PAGE_MAX);
        for (const upload of page.uploads) {
          scope.renew();
          if (upload.startedAtMs > beforeMs) continue;
          if ((await this.uploads.changedAtMs(scope, upload)) > beforeMs) continue;
          await this.uploads.abort(scope, upload);
          dropped += 1;
        }
        after = page.next;
      } while (after !== undefined);
      return { uploads: dropped, temporaryFiles: 0 };
    });
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.connection.close();
  }

  private async write(
    scope: CallScope,
    key: string,
    body: ObjectBody,
    { expected }: PutOptions,
    ifAbsent: boolean,
  ): Promise<ObjectInfo> {
    const pieces = checkedPieces(piecesOf(body, scope), expected);
    const parts = cutParts(pieces, this.settings.partBytes);
    try {
      const first = await parts.next();
      const second = first.done === true ? first : await parts.next();
      if (first.done === true) return await this.putWhole(scope, key, Buffer.alloc(0), ifAbsent);
      if (second.done === true) return await this.putWhole(scope, key, first.value, ifAbsent);
      const all = thenRest([first.value, second.value], parts);
      return await this.putInParts(scope, key, all, ifAbsent);
    } finally {
      leave(parts);
    }
  }

  private putWhole(
    scope: CallScope,
    key: string,
    bytes: Buffer,
    ifAbsent: boolean,
  ): Promise<ObjectInfo> {
    const { bucket, prefix } = this.settings;
    const writeId = randomUUID();
    const command = (): PutObjectCommand => {
      return new PutObjectCommand({
        Bucket: bucket,
        Key: prefix + key,
        Body: bytes,
        ContentLength: bytes.length,
        ContentMD5: createHash('md5').update(bytes).digest('base64'),
        Metadata: { [WRITE_ID]: writeId },
        ...this.connection.encryption,
        ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
      });
    };
    return this.connection.sendKnowing(scope, async ({ mayBeDone }) => {
      try {
        const answer = await this.connection.sendOnce(scope, `put ${key}`, (client, options) => {
          return client.send(command(), options);
        });
        const etag = bareEtag(answer.ETag);
        return { key, sizeBytes: bytes.length, modifiedAtMs: Date.now(), etag };
      } catch (error) {
        if (!ifAbsent || !hasCode(error, 'OBJECT_CHANGED')) throw error;
        // An earlier try whose answer was lost may be what is in the way.
        const head = mayBeDone ? await headObject(this.connection, scope, key) : undefined;
        if (head?.metadata[WRITE_ID] === writeId) return head.info;
        throw existsError(key, error);
      }
    });
  }

  private async putInParts(
    scope: CallScope,
    key: string,
    parts: AsyncIterable<Buffer>,
    ifAbsent: boolean,
  ): Promise<ObjectInfo> {
    const upload = await this.uploads.start(scope, key);
    try {
      const sent = await sendParts(parts, this.settings.partsInFlight, (partNumber, bytes) => {
        return this.uploads.putPart(scope, upload, partNumber, bytes);
      });
      scope.renew();
      return await this.uploads.complete(scope, upload, sent, ifAbsent);
    } catch (error) {
      await this.forget(upload);
      throw error;
    }
  }

  private async forget(upload: UploadName): Promise<void> {
    const scope = new CallScope(`abort ${upload.key}`, { deadlineMs: FORGET_MS_MAX });
    try {
      await this.uploads.abort(scope, upload);
    } catch (error) {
      // Why the write failed is what its caller has to know; the leftover waits for `cleanUp`.
      if (!(error instanceof ObjectStoreError)) throw error;
    } finally {
      scope.close();
    }
  }

  private handleOf(upload: UploadName): ObjectUpload {
    const { key, uploadId } = upload;
    const { uploads } = this;
    const call: S3Store['call'] = (what, options, work) => {
      return this.call(`${what} of upload ${uploadId}`, options, work);
    };
    return {
      key,
      uploadId,
      putPart: async (partNumber, bytes, options) => {
        checkPart(partNumber, bytes);
        return call('putPart', options, (scope) => {
          return uploads.putPart(scope, upload, partNumber, bytes);
        });
      },
      listParts: (options) => {
        return call('listParts', options, (scope) => uploads.listParts(scope, upload));
      },
      complete: async (parts, options) => {
        checkParts(parts);
        return call('complete', options, async (scope) => {
          const ifAbsent = options?.ifAbsent ?? false;
          if (ifAbsent && !(await this.offersConditions(scope))) {
            const message = `complete ${key}: ${this.url} offers no conditional writes`;
            throw new ObjectStoreError('STORE_UNSUPPORTED', message);
          }
          return await uploads.complete(scope, upload, parts, ifAbsent);
        });
      },
      abort: (options) => call('abort', options, (scope) => uploads.abort(scope, upload)),
    };
  }

  private async offersConditions(scope: CallScope): Promise<boolean> {
    this.conditionalWrites ??= await probeConditionalWrites(
      this.connection,
      this.uploads,
      scope,
      (key, bytes) => this.putWhole(scope, key, Buffer.from(bytes), true),
    );
    return this.conditionalWrites;
  }

  private call<T>(
    what: string,
    options: CallOptions | undefined,
    work: (scope: CallScope) => Promise<T>,
  ): Promise<T> {
    const scope = new CallScope(what, options, this.closing.signal);
    return inScope(scope, () => work(scope));
  }
}

async function* thenRest(
  first: readonly Buffer[],
  rest: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  yield* first;
  yield* rest;
}
