/**
 * Typed declaration of the part of npm `lmdb`, version 3.5.6, that the adapter uses, and how it is
 * opened.
 *
 * In: a folder. Out: the store with keys and values as copies. Left out on purpose: asynchronous
 * writes (not visible at once), versions, compression, caches. The store is opened without syncs:
 * `recovery-point.ts` is what makes a crash harmless.
 */
import { open } from 'lmdb';
import { KEY_CODEC, VALUE_CODEC } from './codec.js';

/**
 * The largest key of LMDB is bound to its page size: 1,978 bytes at 4 KiB, 4,026 at 8 KiB. The largest
 * key of a table has 1,029. The size is written into a store when it is made.
 */
export const PAGE_BYTES = 8192;
const NATIVE_KEY_BYTES_MAX = 4026;
/** One byte of a stored key is the adapter's own. */
export const KEY_BYTES_MAX = NATIVE_KEY_BYTES_MAX - 1;

export const DATA_FILE = 'data.mdb';
/** Views of different moments that may be open at once, the two of recovery points aside. */
export const VIEWS_MAX = 2_048;
/** Address space taken at first; it grows by itself, and this spares the first dozen of times. */
const MAP_BYTES = 1024 * 1024 * 1024;
/** A transaction that is committed in the call, on the thread of the caller. */
const SYNCHRONOUS_COMMIT = 2;

/** A view of a moment, shared by those who use it at that moment. */
export interface LmdbSnapshot {
  /** Gives back one use; the last one ends the view. */
  done(): void;
}

export interface LmdbRangeOptions {
  start: Uint8Array;
  end: Uint8Array;
  reverse: boolean;
  exclusiveStart: boolean;
  inclusiveEnd: boolean;
  values: boolean;
  /** Absent inside a write transaction: what it has written so far. */
  transaction?: LmdbSnapshot;
}

export interface LmdbStats {
  entryCount: number;
  lastPageNumber: number;
  pageSize: number;
}

export interface LmdbRow {
  key: Buffer;
  value: Buffer;
}

export interface LmdbStore {
  get(key: Uint8Array): Buffer | undefined;
  putSync(key: Uint8Array, value: Uint8Array): boolean;
  removeSync(key: Uint8Array): boolean;
  /** Rows, or keys alone where no values are asked for. */
  getRange(options: LmdbRangeOptions): Iterable<LmdbRow | Buffer>;
  useReadTransaction(): LmdbSnapshot;
  transactionSync(action: () => PromiseLike<void>, flags: number): unknown;
  getStats(): LmdbStats;
  close(): Promise<void>;
}

export function openStore(directory: string): LmdbStore {
  const options = {
    noSubdir: false,
    // LMDB cannot do with less than a page of the operating system, which may be larger.
    pageSize: PAGE_BYTES,
    maxDbs: 1,
    maxReaders: VIEWS_MAX + 64,
    mapSize: MAP_BYTES,
    noSync: true,
    overlappingSync: false,
    keyEncoder: KEY_CODEC,
    encoder: VALUE_CODEC,
  };
  return open(directory, options) as unknown as LmdbStore;
}

/**
 * Begins a write transaction that stays open over calls. Everything read through the store meanwhile
 * shows what it has written. Gives the function that ends it: with an error, nothing of it happened.
 */
export function beginWrite(store: LmdbStore): (error?: Error) => void {
  let end: ((error?: Error) => void) | undefined;
  // A transaction lasts until the promise of its action settles; this one settles when told to.
  const open = {
    then(fulfilled: () => unknown, rejected: (error: unknown) => unknown): void {
      end = (error) => void (error === undefined ? fulfilled() : rejected(error));
    },
  };
  store.transactionSync(() => open as unknown as PromiseLike<void>, SYNCHRONOUS_COMMIT);
  if (end === undefined) throw new Error('the store did not begin a transaction');
  return end;
}
