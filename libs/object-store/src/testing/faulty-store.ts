/**
 * A store that fails as stores do, by a seed.
 *
 * In: a store that works, and how often what goes wrong. Out: the port. The same seed and the same
 * calls give the same faults. Faults are those of the way and of the disk: refused calls, calls that
 * are carried out but never answered, bodies that end early, come slowly or come damaged.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ObjectStoreError } from '../port/errors.js';
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

/** Chances from 0 to 1; what is not said never happens. */
export interface FaultyStoreOptions {
  readonly seed: number;
  /** A call is refused before anything is done: `STORE_UNAVAILABLE`. */
  readonly refused?: number;
  /** A call is carried out, and its answer lost: `STORE_UNAVAILABLE`. */
  readonly answerLost?: number;
  /** Of a piece that is read: it does not come, and nothing after it. */
  readonly readCut?: number;
  /** Of a piece that is read: one of its bits is wrong. */
  readonly readDamaged?: number;
  /** Of a piece that is read: it takes so long. */
  readonly readSlow?: number;
  readonly slowMs?: number;
  /** Of a piece of a body that is written: the connection ends there. */
  readonly writeCut?: number;
}

export class FaultyStore implements ObjectStore {
  /** What went wrong so far. */
  faults = 0;
  /** While false everything works. */
  isFaulty = true;

  private state: number;

  constructor(
    private readonly inner: ObjectStore,
    private readonly options: FaultyStoreOptions,
  ) {
    this.state = options.seed >>> 0;
  }

  get url(): string {
    return this.inner.url;
  }

  get partBytes(): number {
    return this.inner.partBytes;
  }

  put(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo> {
    return this.call('put', () => this.inner.put(key, this.cut(body), options));
  }

  putIfAbsent(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo> {
    return this.call('putIfAbsent', () => this.inner.putIfAbsent(key, this.cut(body), options));
  }

  canPutIfAbsent(options?: CallOptions): Promise<boolean> {
    return this.call('canPutIfAbsent', () => this.inner.canPutIfAbsent(options));
  }

  async get(key: string, options?: GetOptions): Promise<ObjectReading> {
    const reading = await this.call('get', () => this.inner.get(key, options));
    return {
      info: reading.info,
      body: this.spoilt(reading),
      discard: () => reading.discard(),
    };
  }

  head(key: string, options?: CallOptions): Promise<ObjectInfo> {
    return this.call('head', () => this.inner.head(key, options));
  }

  list(prefix: string, options?: ListOptions): Promise<ObjectPage> {
    return this.call('list', () => this.inner.list(prefix, options));
  }

  delete(key: string, options?: CallOptions): Promise<void> {
    return this.call('delete', () => this.inner.delete(key, options));
  }

  deleteMany(keys: readonly string[], options?: CallOptions): Promise<readonly DeleteFailure[]> {
    return this.call('deleteMany', () => this.inner.deleteMany(keys, options));
  }

  async startUpload(key: string, options?: CallOptions): Promise<ObjectUpload> {
    return this.spoiltUpload(
      await this.call('startUpload', () => this.inner.startUpload(key, options)),
    );
  }

  async resumeUpload(key: string, uploadId: string, options?: CallOptions): Promise<ObjectUpload> {
    return this.spoiltUpload(
      await this.call('resumeUpload', () => this.inner.resumeUpload(key, uploadId, options)),
    );
  }

  listUploads(prefix: string, options?: ListUploadsOptions): Promise<UploadsPage> {
    return this.call('listUploads', () => this.inner.listUploads(prefix, options));
  }

  cleanUp(options: CleanUpOptions): Promise<CleanUpReport> {
    return this.call('cleanUp', () => this.inner.cleanUp(options));
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  private async call<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.happens(this.options.refused)) throw unavailable(what, 'refused on purpose');
    const answerLost = this.happens(this.options.answerLost);
    const result = await work();
    if (answerLost) throw unavailable(what, 'answer lost on purpose');
    return result;
  }

  private spoiltUpload(upload: ObjectUpload): ObjectUpload {
    return {
      key: upload.key,
      uploadId: upload.uploadId,
      putPart: (...call) => this.call('putPart', () => upload.putPart(...call)),
      listParts: (...call) => this.call('listParts', () => upload.listParts(...call)),
      complete: (...call) => this.call('complete', () => upload.complete(...call)),
      abort: (...call) => this.call('abort', () => upload.abort(...call)),
    };
  }

  private async *spoilt(reading: ObjectReading): AsyncGenerator<Uint8Array> {
    const { readCut, readDamaged, readSlow, slowMs = 10 } = this.options;
    for await (const piece of reading.body) {
      if (this.happens(readSlow)) await sleep(slowMs);
      if (this.happens(readCut)) throw unavailable('get', 'cut on purpose');
      yield this.happens(readDamaged) ? this.damaged(piece) : piece;
    }
  }

  private async *cut(body: ObjectBody): AsyncGenerator<Uint8Array> {
    const pieces = body instanceof Uint8Array ? [body] : body;
    for await (const piece of pieces) {
      if (this.happens(this.options.writeCut)) throw unavailable('put', 'cut on purpose');
      yield piece;
    }
  }

  private damaged(piece: Uint8Array): Uint8Array {
    const copy = Uint8Array.from(piece);
    const at = Math.floor(this.random() * copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(this.random() * 8));
    return copy;
  }

  private happens(chance = 0): boolean {
    if (!this.isFaulty || this.random() >= chance) return false;
    this.faults += 1;
    return true;
  }

  /** From 0 up to 1 (mulberry32). */
  private random(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

function unavailable(what: string, why: string): ObjectStoreError {
  return new ObjectStoreError('STORE_UNAVAILABLE', `${what}: ${why}`);
}
