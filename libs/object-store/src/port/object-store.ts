/**
 * The port: named, immutable-once-visible byte strings somewhere durable.
 *
 * In: keys and bytes. Out: bytes, pages of keys, or an `ObjectStoreError`. An object is seen whole
 * or not at all: no reader ever meets one that is half written, whenever its writer died.
 *
 * Keys are text, one to `KEY_BYTES_MAX` bytes of UTF-8, in segments set apart by slashes; see
 * `checkKey`. Lists are in the order of these bytes.
 *
 * Every call takes an `AbortSignal` and a deadline. Calls that move a stream hold the deadline from
 * one piece to the next instead: a large object may take as long as bytes keep coming.
 */

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** From the beginning of the call, all its tries included. `CALL_DEADLINE_MS` if not said. */
  readonly deadlineMs?: number;
}

/** What is written: at once, or in pieces of any size. A piece may be used again once it was taken. */
export type ObjectBody = Uint8Array | AsyncIterable<Uint8Array>;

export interface ObjectInfo {
  readonly key: string;
  readonly sizeBytes: number;
  /** By the clock of the store; of what was just written it may be that of this process. */
  readonly modifiedAtMs: number;
  /** Differs between two objects that were written under one key; nothing more can be read in it. */
  readonly etag: string;
}

export interface PutOptions extends CallOptions {
  /** What the body has to be. Else nothing becomes visible, and the call ends in `OBJECT_CORRUPT`. */
  readonly expected?: { readonly sizeBytes?: number; readonly sha256Hex?: string };
}

export interface GetOptions extends CallOptions {
  /** The first byte wanted, and the one after the last; to the end of the object if not said. */
  readonly range?: { readonly start: number; readonly end?: number };
  /** The etag that the object must still have. Else the call ends in `OBJECT_CHANGED`. */
  readonly etag?: string;
}

export interface ObjectReading {
  /** Of the whole object, whatever the range. */
  readonly info: ObjectInfo;
  /** The bytes of the range, all of them or an error. Read once; a loop that is left closes it. */
  readonly body: AsyncIterable<Uint8Array>;
  /** For a body that is not read: gives back what it holds. Idempotent. */
  discard(): Promise<void>;
}

export interface ListOptions extends CallOptions {
  /** Only keys behind this one; need not be a key that exists. */
  readonly after?: string;
  /** At most so many, `LIST_PAGE_MAX` if not said. */
  readonly limit?: number;
}

export interface ObjectPage {
  readonly objects: readonly ObjectInfo[];
  /** What the next page is asked for with, as `after`; undefined once the list is at its end. */
  readonly next: string | undefined;
}

export interface DeleteFailure {
  readonly key: string;
  readonly error: Error;
}

export interface UploadedPart {
  /** From 1 to `PART_NUMBER_MAX`; the object is its parts by number, gaps allowed. */
  readonly partNumber: number;
  readonly sizeBytes: number;
  /** What `complete` is told the part by. */
  readonly etag: string;
  /** MD5 of the bytes where the store tells it: whether a part is the one meant, after a crash. */
  readonly md5Hex: string | undefined;
}

/** An upload in parts. It outlives this process: `resumeUpload` finds it again by key and id. */
export interface ObjectUpload {
  readonly key: string;
  readonly uploadId: string;
  /** Writes a part, over what the same number held. Sent again where it is not known to be there. */
  putPart(partNumber: number, bytes: Uint8Array, options?: CallOptions): Promise<UploadedPart>;
  /** The parts that are there, by number; from this process or another. */
  listParts(options?: CallOptions): Promise<readonly UploadedPart[]>;
  /**
   * The object of these parts, in the order of their numbers, becomes visible. Parts that are not
   * named are dropped. A second call ends in `UPLOAD_NOT_FOUND`: ask `head` what became of the first.
   */
  complete(parts: readonly UploadedPart[], options?: CompleteOptions): Promise<ObjectInfo>;
  /** Drops what was uploaded. No error if there is nothing left to drop. */
  abort(options?: CallOptions): Promise<void>;
}

export interface CompleteOptions extends CallOptions {
  /** As `putIfAbsent`. The upload stays when there is such an object already. */
  readonly ifAbsent?: boolean;
}

export interface UnfinishedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAtMs: number;
}

export interface ListUploadsOptions extends CallOptions {
  /** `next` of the page before. */
  readonly after?: UploadsMark;
  /** At most so many, `UPLOADS_PAGE_MAX` if not said. */
  readonly limit?: number;
}

export interface UploadsMark {
  readonly key: string;
  readonly uploadId: string;
}

export interface UploadsPage {
  /** By key; uploads of the same key in an order of the store's own. */
  readonly uploads: readonly UnfinishedUpload[];
  readonly next: UploadsMark | undefined;
}

export interface CleanUpOptions extends CallOptions {
  /** What nothing was done about for so long is a leftover. Above the longest pause of a writer. */
  readonly olderThanMs: number;
}

export interface CleanUpReport {
  readonly uploads: number;
  /** Of writers that died; only a file system has them. */
  readonly temporaryFiles: number;
}

export interface ObjectStore {
  /** What this store is, for logs and messages: a URL without credentials. */
  readonly url: string;
  /** How large parts are that this store cuts itself, and those a caller best cuts. */
  readonly partBytes: number;

  /** Writes an object, over the one that was there. A body of many pieces goes up in parts. */
  put(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo>;
  /**
   * Writes an object unless there is one: `OBJECT_EXISTS`. Of many writers at once, one wins.
   * `STORE_UNSUPPORTED` where the store has no conditional writes; it is never only tried.
   */
  putIfAbsent(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo>;
  /** Whether `putIfAbsent` is offered. Asks the store once, where that cannot be told otherwise. */
  canPutIfAbsent(options?: CallOptions): Promise<boolean>;

  get(key: string, options?: GetOptions): Promise<ObjectReading>;
  head(key: string, options?: CallOptions): Promise<ObjectInfo>;
  /** The objects whose keys begin so. The prefix is text, not a folder: `a/b` finds `a/bc`. */
  list(prefix: string, options?: ListOptions): Promise<ObjectPage>;

  /** No error if there is no such object. */
  delete(key: string, options?: CallOptions): Promise<void>;
  /** As `delete`, for up to `DELETE_MANY_MAX` keys. Tells those that are not known to be gone. */
  deleteMany(keys: readonly string[], options?: CallOptions): Promise<readonly DeleteFailure[]>;

  startUpload(key: string, options?: CallOptions): Promise<ObjectUpload>;
  /** The handle of an upload that was begun before; `UPLOAD_NOT_FOUND` if it is over. */
  resumeUpload(key: string, uploadId: string, options?: CallOptions): Promise<ObjectUpload>;
  listUploads(prefix: string, options?: ListUploadsOptions): Promise<UploadsPage>;
  /** Drops what dead writers left. Never touches an object that can be seen. */
  cleanUp(options: CleanUpOptions): Promise<CleanUpReport>;

  /** Ends what is under way with `STORE_CLOSED`. Idempotent. */
  close(): Promise<void>;
}
