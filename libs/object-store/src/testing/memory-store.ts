/**
 * Objects in memory: the port at its plainest, and what the other adapters are held against.
 *
 * In and out: the port. Everything is kept until it is deleted: for tests only.
 */
import { createHash, randomUUID } from 'node:crypto';
import { CallScope, inScope } from '../port/call-scope.js';
import { deleteEach } from '../port/delete-each.js';
import { ObjectStoreError } from '../port/errors.js';
import { checkAfter, checkKey, checkLimit, checkPrefix, compareKeys } from '../port/keys.js';
import {
  type CallOptions,
  type CleanUpOptions,
  type CleanUpReport,
  type CompleteOptions,
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
  type UploadedPart,
  type UploadsPage,
} from '../port/object-store.js';
import { checkPart, checkParts } from '../port/parts.js';
import { checkRange, rangeWithin } from '../port/ranges.js';
import { pageOfUploads } from '../port/uploads-page.js';
import { checkedPieces, piecesOf } from '../transfer/body.js';
import { readingOf, type PieceSource } from '../transfer/reading.js';

const PIECE_BYTES = 64 * 1024;

interface Stored {
  readonly info: ObjectInfo;
  readonly bytes: Buffer;
}

interface Upload {
  readonly key: string;
  readonly startedAtMs: number;
  changedAtMs: number;
  readonly parts: Map<number, { readonly part: UploadedPart; readonly bytes: Buffer }>;
}

export interface MemoryStoreOptions {
  /** Small ones make small tests. */
  readonly partBytes?: number;
  readonly conditionalWrites?: boolean;
}

export class MemoryStore implements ObjectStore {
  readonly url = 'memory:';
  readonly partBytes: number;

  private readonly objects = new Map<string, Stored>();
  private readonly uploads = new Map<string, Upload>();
  private readonly conditionalWrites: boolean;
  private readonly closing = new AbortController();
  private written = 0;

  constructor({ partBytes = 1_024, conditionalWrites = true }: MemoryStoreOptions = {}) {
    this.partBytes = partBytes;
    this.conditionalWrites = conditionalWrites;
  }

  put(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo> {
    return this.write(key, body, options, false);
  }

  putIfAbsent(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo> {
    return this.write(key, body, options, true);
  }

  canPutIfAbsent(options?: CallOptions): Promise<boolean> {
    return this.call('canPutIfAbsent', options, async () => this.conditionalWrites);
  }

  async get(key: string, options: GetOptions = {}): Promise<ObjectReading> {
    const range = checkRange(options.range);
    checkKey(key);
    const scope = new CallScope(`get ${key}`, options, this.closing.signal);
    try {
      scope.throwIfOver();
      const { info, bytes } = this.find(key);
      if (options.etag !== undefined && options.etag !== info.etag) {
        throw new ObjectStoreError('OBJECT_CHANGED', `${key} was written anew`);
      }
      const { start, end } = rangeWithin(range, info.sizeBytes);
      const owed = {
        sizeBytes: end - start,
        wrongSize: () => new ObjectStoreError('OBJECT_CORRUPT', `${key} has changed in memory`),
        toError: (error: unknown) => error,
      };
      return readingOf(info, bytesSource(bytes.subarray(start, end)), owed, scope);
    } catch (error) {
      scope.close();
      throw error;
    }
  }

  head(key: string, options?: CallOptions): Promise<ObjectInfo> {
    checkKey(key);
    return this.call(`head ${key}`, options, async () => this.find(key).info);
  }

  list(prefix: string, options: ListOptions = {}): Promise<ObjectPage> {
    checkPrefix(prefix);
    const limit = checkLimit(options.limit);
    const { after } = options;
    if (after !== undefined) checkAfter(after);
    return this.call(`list ${prefix}`, options, async () => {
      const found = [...this.objects.values()]
        .map(({ info }) => info)
        .filter(({ key }) => key.startsWith(prefix))
        .filter(({ key }) => after === undefined || compareKeys(key, after) > 0)
        .sort((left, right) => compareKeys(left.key, right.key));
      const objects = found.slice(0, limit);
      return { objects, next: found.length > limit ? objects.at(-1)?.key : undefined };
    });
  }

  delete(key: string, options?: CallOptions): Promise<void> {
    checkKey(key);
    return this.call(`delete ${key}`, options, async () => void this.objects.delete(key));
  }

  deleteMany(keys: readonly string[], options?: CallOptions): Promise<readonly DeleteFailure[]> {
    return this.call('deleteMany', options, ({ signal }) => {
      return deleteEach(keys, signal, async (key) => void this.objects.delete(key));
    });
  }

  startUpload(key: string, options?: CallOptions): Promise<ObjectUpload> {
    checkKey(key);
    return this.call(`startUpload ${key}`, options, async () => {
      const uploadId = randomUUID();
      const now = Date.now();
      this.uploads.set(uploadId, { key, startedAtMs: now, changedAtMs: now, parts: new Map() });
      return this.handleOf(key, uploadId);
    });
  }

  resumeUpload(key: string, uploadId: string, options?: CallOptions): Promise<ObjectUpload> {
    checkKey(key);
    return this.call(`resumeUpload ${key}`, options, async () => {
      if (this.findUpload(uploadId).key === key) return this.handleOf(key, uploadId);
      throw new ObjectStoreError('UPLOAD_NOT_FOUND', `upload ${uploadId} is of another key`);
    });
  }

  listUploads(prefix: string, options: ListUploadsOptions = {}): Promise<UploadsPage> {
    checkPrefix(prefix);
    const limit = checkLimit(options.limit);
    return this.call(`listUploads ${prefix}`, options, async () => {
      const all = [...this.uploads].map(([uploadId, { key, startedAtMs }]) => {
        return { key, uploadId, startedAtMs };
      });
      return pageOfUploads(all, prefix, options.after, limit);
    });
  }

  cleanUp(options: CleanUpOptions): Promise<CleanUpReport> {
    return this.call('cleanUp', options, async () => {
      const beforeMs = Date.now() - options.olderThanMs;
      const old = [...this.uploads].filter(([, { changedAtMs }]) => changedAtMs <= beforeMs);
      for (const [uploadId] of old) this.uploads.delete(uploadId);
      return { uploads: old.length, temporaryFiles: 0 };
    });
  }

  async close(): Promise<void> {
    this.closing.abort();
  }

  private write(
    key: string,
    body: ObjectBody,
    options: PutOptions | undefined,
    ifAbsent: boolean,
  ): Promise<ObjectInfo> {
    checkKey(key);
    return this.call(`put ${key}`, options, async (scope) => {
      if (ifAbsent && !this.conditionalWrites) {
        throw new ObjectStoreError('STORE_UNSUPPORTED', 'no conditional writes here');
      }
      const pieces: Uint8Array[] = [];
      const checked = checkedPieces(piecesOf(body, scope), options?.expected);
      for await (const piece of checked) pieces.push(Uint8Array.from(piece));
      scope.throwIfOver();
      return this.store(key, Buffer.concat(pieces), ifAbsent);
    });
  }

  private store(key: string, bytes: Buffer, ifAbsent: boolean): ObjectInfo {
    if (ifAbsent && this.objects.has(key)) {
      throw new ObjectStoreError('OBJECT_EXISTS', `there is an object ${key} already`);
    }
    this.written += 1;
    const etag = `${this.written}`;
    const info = { key, sizeBytes: bytes.length, modifiedAtMs: Date.now(), etag };
    this.objects.set(key, { info, bytes });
    return info;
  }

  private handleOf(key: string, uploadId: string): ObjectUpload {
    return {
      key,
      uploadId,
      putPart: async (partNumber, bytes, options) => {
        checkPart(partNumber, bytes);
        return this.call('putPart', options, async () => {
          return this.putPart(uploadId, partNumber, Buffer.from(bytes));
        });
      },
      listParts: (options) => {
        return this.call('listParts', options, async () => {
          const parts = [...this.findUpload(uploadId).parts.values()].map(({ part }) => part);
          return parts.sort((left, right) => left.partNumber - right.partNumber);
        });
      },
      complete: async (parts, options) => {
        checkParts(parts);
        return this.call('complete', options, async () => {
          return this.complete(key, uploadId, parts, options);
        });
      },
      abort: (options) => {
        return this.call('abort', options, async () => void this.uploads.delete(uploadId));
      },
    };
  }

  private putPart(uploadId: string, partNumber: number, bytes: Buffer): UploadedPart {
    const upload = this.findUpload(uploadId);
    const md5Hex = createHash('md5').update(bytes).digest('hex');
    const part = { partNumber, sizeBytes: bytes.length, etag: md5Hex, md5Hex };
    upload.parts.set(partNumber, { part, bytes });
    upload.changedAtMs = Date.now();
    return part;
  }

  private complete(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    { ifAbsent = false }: CompleteOptions = {},
  ): ObjectInfo {
    const upload = this.findUpload(uploadId);
    const pieces = parts.map(({ partNumber, etag }) => {
      const held = upload.parts.get(partNumber);
      if (held?.part.etag === etag) return held.bytes;
      throw new ObjectStoreError('STORE_INVALID', `part ${partNumber} is not there, or not so`);
    });
    const info = this.store(key, Buffer.concat(pieces), ifAbsent);
    this.uploads.delete(uploadId);
    return info;
  }

  private find(key: string): Stored {
    const stored = this.objects.get(key);
    if (stored !== undefined) return stored;
    throw new ObjectStoreError('OBJECT_NOT_FOUND', `there is no object ${JSON.stringify(key)}`);
  }

  private findUpload(uploadId: string): Upload {
    const upload = this.uploads.get(uploadId);
    if (upload !== undefined) return upload;
    throw new ObjectStoreError('UPLOAD_NOT_FOUND', `there is no upload ${uploadId}`);
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

function bytesSource(bytes: Buffer): PieceSource {
  let at = 0;
  return {
    read: async () => {
      if (at >= bytes.length) return undefined;
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      at += piece.length;
      return Buffer.from(piece);
    },
    close: async () => undefined,
  };
}
