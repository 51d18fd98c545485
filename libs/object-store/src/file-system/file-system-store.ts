/**
 * Objects as files below one folder.
 *
 *   objects/      files of visible objects, at paths made of their keys (key-paths.ts)
 *   uploads/      uploads in parts that are not complete (file-uploads.ts)
 *   temporary/    what is being written; leftovers of dead writers until `cleanUp`
 *
 * In and out: the port. What has a path below `objects/` is whole and synced. Several processes may
 * use one folder, on a file system whose rename and link are atomic.
 */
import { mkdir, open, rm, stat, type FileHandle } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PART_BYTES_DEFAULT, UPLOADS_PAGE_MAX } from '../port/bounds.js';
import { CallScope, inScope } from '../port/call-scope.js';
import { ObjectStoreError } from '../port/errors.js';
import { checkAfter, checkKey, checkLimit, checkPrefix } from '../port/keys.js';
import { deleteEach } from '../port/delete-each.js';
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
import { checkedPieces, piecesOf } from '../transfer/body.js';
import { readingOf } from '../transfer/reading.js';
import { pageOfUploads } from '../port/uploads-page.js';
import { leftovers } from './clean-up.js';
import {
  etagOf,
  makeFolder,
  placeNew,
  placeOver,
  removeFile,
  writeTemporary,
  type WrittenFile,
} from './durable-files.js';
import { isErrno, toStoreError } from './file-errors.js';
import { fileSource } from './file-source.js';
import { FileUploads } from './file-uploads.js';
import { pathOfKey } from './key-paths.js';
import { infoOf, listFiles } from './list-files.js';

export interface FileSystemStoreOptions {
  /** Made if it is not there. */
  readonly folder: string;
}

export class FileSystemStore implements ObjectStore {
  readonly url: string;
  readonly partBytes = PART_BYTES_DEFAULT;

  private readonly objects: string;
  private readonly temporary: string;
  private readonly uploads: FileUploads;
  private readonly closing = new AbortController();

  /** Opens a folder. Fails where it cannot be written. */
  static async open({ folder }: FileSystemStoreOptions): Promise<FileSystemStore> {
    const root = resolve(folder);
    try {
      await mkdir(root, { recursive: true, mode: 0o750 });
      for (const name of ['objects', 'uploads', 'temporary']) {
        await makeFolder(join(root, name), root);
      }
    } catch (error) {
      throw toStoreError(error, `open ${root}`);
    }
    return new FileSystemStore(root);
  }

  private constructor(root: string) {
    this.url = pathToFileURL(root).href;
    this.objects = join(root, 'objects');
    this.temporary = join(root, 'temporary');
    this.uploads = new FileUploads(join(root, 'uploads'), this.temporary);
  }

  put(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo> {
    return this.write(key, body, options, false);
  }

  putIfAbsent(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo> {
    return this.write(key, body, options, true);
  }

  canPutIfAbsent(options?: CallOptions): Promise<boolean> {
    return this.call('canPutIfAbsent', options, async () => true);
  }

  async get(key: string, options: GetOptions = {}): Promise<ObjectReading> {
    const path = this.fileOf(key);
    const range = checkRange(options.range);
    const scope = new CallScope(`get ${key}`, options, this.closing.signal);
    let file: FileHandle | undefined;
    try {
      scope.throwIfOver();
      file = await open(path, 'r');
      const stats = await file.stat();
      const info = { key, ...numbersOf(stats), etag: etagOf(stats) };
      if (options.etag !== undefined && options.etag !== info.etag) throw changed(key);
      const { start, end } = rangeWithin(range, info.sizeBytes);
      const owed = {
        sizeBytes: end - start,
        wrongSize: () => new ObjectStoreError('OBJECT_CORRUPT', `${key} has shrunk on the disk`),
        toError: (error: unknown) => toStoreError(error, `get ${key}`),
      };
      return readingOf(info, fileSource(file, start, end), owed, scope);
    } catch (error) {
      scope.close();
      await file?.close();
      throw scope.reasonOr(this.toError(error, `get ${key}`, key));
    }
  }

  head(key: string, options?: CallOptions): Promise<ObjectInfo> {
    const path = this.fileOf(key);
    return this.call(`head ${key}`, options, async (scope) => {
      const info = await scope.within(infoOf(path, key));
      if (info === undefined) throw notFound(key);
      return info;
    });
  }

  list(prefix: string, options: ListOptions = {}): Promise<ObjectPage> {
    checkPrefix(prefix);
    const limit = checkLimit(options.limit);
    const after = options.after === undefined ? undefined : Buffer.from(checkAfter(options.after));
    return this.call(`list ${prefix}`, options, (scope) => {
      const { signal } = scope;
      const wanted = { prefix: Buffer.from(prefix), after, limit, signal };
      return scope.within(listFiles(this.objects, wanted));
    });
  }

  delete(key: string, options?: CallOptions): Promise<void> {
    const path = this.fileOf(key);
    return this.call(`delete ${key}`, options, () => removeFile(path, this.objects));
  }

  deleteMany(keys: readonly string[], options?: CallOptions): Promise<readonly DeleteFailure[]> {
    return this.call('deleteMany', options, ({ signal }) => {
      return deleteEach(keys, signal, async (key) => {
        try {
          await removeFile(this.fileOf(key), this.objects);
        } catch (error) {
          throw toStoreError(error, `delete ${key}`);
        }
      });
    });
  }

  startUpload(key: string, options?: CallOptions): Promise<ObjectUpload> {
    checkKey(key);
    return this.call(`startUpload ${key}`, options, async () => {
      return this.handleOf(key, await this.uploads.start(key));
    });
  }

  resumeUpload(key: string, uploadId: string, options?: CallOptions): Promise<ObjectUpload> {
    checkKey(key);
    return this.call(`resumeUpload ${key}`, options, async () => {
      const found = await this.uploads.find(uploadId);
      if (found.key === key) return this.handleOf(key, uploadId);
      throw new ObjectStoreError('UPLOAD_NOT_FOUND', `upload ${uploadId} is of another key`);
    });
  }

  listUploads(prefix: string, options: ListUploadsOptions = {}): Promise<UploadsPage> {
    checkPrefix(prefix);
    const limit = checkLimit(options.limit, UPLOADS_PAGE_MAX);
    return this.call(`listUploads ${prefix}`, options, async () => {
      return pageOfUploads(await this.uploads.list(), prefix, options.after, limit);
    });
  }

  cleanUp(options: CleanUpOptions): Promise<CleanUpReport> {
    return this.call('cleanUp', options, async (scope) => {
      return leftovers(this.temporary, this.uploads, options.olderThanMs, scope.signal);
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
    const path = this.fileOf(key);
    return this.call(`put ${key}`, options, async (scope) => {
      // Asked twice: a body of gigabytes need not be written to learn what is known already.
      if (ifAbsent && (await infoOf(path, key)) !== undefined) throw exists(key);
      const pieces = checkedPieces(piecesOf(body, scope), options?.expected);
      const written = await writeTemporary(this.temporary, pieces);
      return await this.place(key, written, ifAbsent, scope);
    });
  }

  private async place(
    key: string,
    written: WrittenFile,
    ifAbsent: boolean,
    scope: CallScope,
  ): Promise<ObjectInfo> {
    const path = this.fileOf(key);
    // Between here and the rename nobody may give up: what was given up must not be seen later.
    if (scope.signal.aborted) await rm(written.path, { force: true });
    scope.throwIfOver();
    const stats = await stat(written.path);
    try {
      await (ifAbsent ? placeNew : placeOver)(written, path, this.objects);
    } catch (error) {
      throw ifAbsent && isErrno(error, 'EEXIST') ? exists(key) : error;
    }
    return { key, ...numbersOf(stats), etag: etagOf(stats) };
  }

  private handleOf(key: string, uploadId: string): ObjectUpload {
    const { uploads } = this;
    const call: FileSystemStore['call'] = (what, options, work) => {
      return this.call(`${what} of upload ${uploadId}`, options, work);
    };
    return {
      key,
      uploadId,
      putPart: async (partNumber, bytes, options) => {
        checkPart(partNumber, bytes);
        return call('putPart', options, () => uploads.putPart(uploadId, partNumber, bytes));
      },
      listParts: (options) => call('listParts', options, () => uploads.listParts(uploadId)),
      complete: async (parts, options) => {
        checkParts(parts);
        return call('complete', options, (scope) => {
          return this.complete(key, uploadId, parts, options, scope);
        });
      },
      abort: (options) => call('abort', options, () => uploads.remove(uploadId)),
    };
  }

  private async complete(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    { ifAbsent = false }: CompleteOptions = {},
    scope: CallScope,
  ): Promise<ObjectInfo> {
    // Tens of gigabytes are copied, at the speed of the disk: the deadline is for what hangs.
    scope.pause();
    const written = await this.uploads.join(uploadId, parts, scope.signal);
    const info = await this.place(key, written, ifAbsent, scope);
    await this.uploads.remove(uploadId);
    return info;
  }

  private async call<T>(
    what: string,
    options: CallOptions | undefined,
    work: (scope: CallScope) => Promise<T>,
  ): Promise<T> {
    const scope = new CallScope(what, options, this.closing.signal);
    return await inScope(scope, async () => {
      try {
        return await work(scope);
      } catch (error) {
        throw toStoreError(error, what);
      }
    });
  }

  private toError(error: unknown, what: string, key: string): Error {
    return isErrno(error, 'ENOENT', 'ENOTDIR') ? notFound(key) : toStoreError(error, what);
  }

  private fileOf(key: string): string {
    return join(this.objects, ...pathOfKey(checkKey(key)));
  }
}

function numbersOf({ size, mtimeMs }: { size: number; mtimeMs: number }) {
  return { sizeBytes: size, modifiedAtMs: Math.floor(mtimeMs) };
}

function notFound(key: string): ObjectStoreError {
  return new ObjectStoreError('OBJECT_NOT_FOUND', `there is no object ${JSON.stringify(key)}`);
}

function exists(key: string): ObjectStoreError {
  return new ObjectStoreError('OBJECT_EXISTS', `there is an object ${JSON.stringify(key)} already`);
}

function changed(key: string): ObjectStoreError {
  return new ObjectStoreError('OBJECT_CHANGED', `${JSON.stringify(key)} was written anew`);
}
