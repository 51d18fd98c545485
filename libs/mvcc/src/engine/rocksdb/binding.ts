/**
 * Typed declaration of the native functions of `@nxtedition/rocksdb`, version 12.2.12 exactly.
 *
 * Only what the adapter uses is declared, and only in the form in which it was found to work. The
 * native layer is called directly: its JavaScript wrapper costs about a tenth of a point read and
 * keeps a list of resources that synchronous batches never leave. Absent options are passed as
 * `undefined`, which the native side takes as "no options" in one step. It checks nothing: a call on
 * a closed handle ends the process, so the adapter must never make one.
 *
 * Not declared on purpose: reads on the thread pool (a close during one never ends), `unsafe` reads
 * (their buffers pin cache blocks past the close), and `batch` in array form (it leaks).
 */
import { createRequire } from 'node:module';

declare const handleKind: unique symbol;

/** An opaque native object. */
export interface NativeHandle<Kind extends string> {
  readonly [handleKind]: Kind;
}

export type DatabaseHandle = NativeHandle<'database'>;
export type BatchHandle = NativeHandle<'batch'>;
export type IteratorHandle = NativeHandle<'iterator'>;

export interface NativeOpenOptions {
  createIfMissing: boolean;
  /** Background threads. */
  parallelism: number;
  /** Bytes; the memtable is a quarter of it and up to six are held under pressure. */
  memtableMemoryBudget: number;
  /** Sets level sizes after the memory budget. */
  compaction: 'level' | 'universal';
  /**
   * Trains a zstd dictionary for each file that is compressed. With `compaction: 'level'` that is every file from
   * the second level with data down, whatever is said here.
   */
  compression: boolean;
  /** zstd on the write-ahead log; the native default is true. */
  walCompression: boolean;
  /** Block cache, bytes, below 2^32; the native default is 8 MiB. */
  cacheSize: number;
  /**
   * Filters in memtables, hashed data blocks, ribbon filters: a miss costs a third, a hit about two
   * thirds of what it does without.
   */
  optimize: 'point-lookup';
  /** Index and filter blocks count towards the cache. */
  cacheIndexAndFilterBlocks: boolean;
}

export interface NativeIteratorOptions {
  gte: Uint8Array;
  lt: Uint8Array;
  reverse: boolean;
  keys: boolean;
  values: boolean;
  keyEncoding: 'buffer';
  valueEncoding: 'buffer';
  highWaterMarkBytes: number;
}

export interface NativePage {
  /** Key and value in turn; undefined where not asked for. */
  rows: (Buffer | undefined)[];
  finished: boolean;
}

type Callback = (error: Error | null) => void;

export interface RocksBinding {
  db_init(location: string): DatabaseHandle;
  db_open(db: DatabaseHandle, options: NativeOpenOptions, callback: Callback): void;
  db_close(db: DatabaseHandle, callback: Callback): void;
  db_get_many_sync(
    db: DatabaseHandle,
    keys: readonly Uint8Array[],
    options: undefined,
  ): (Buffer | undefined)[];
  db_clear(db: DatabaseHandle, range: { gte: Uint8Array; lt: Uint8Array }): void;
  db_get_property(db: DatabaseHandle, name: string): string;
  iterator_init(db: DatabaseHandle, options: NativeIteratorOptions): IteratorHandle;
  iterator_nextv_sync(iterator: IteratorHandle, rowsMax: number): NativePage;
  iterator_close(iterator: IteratorHandle): void;
  batch_init(): BatchHandle;
  batch_put(batch: BatchHandle, key: Uint8Array, value: Uint8Array, options: undefined): void;
  batch_del(batch: BatchHandle, key: Uint8Array, options: undefined): void;
  batch_clear(batch: BatchHandle): void;
  batch_write(db: DatabaseHandle, batch: BatchHandle, options: { sync: boolean } | undefined): void;
}

const require = createRequire(import.meta.url);

/** Loads the prebuilt library of this platform; throws where there is none. */
export function loadBinding(): RocksBinding {
  return require('@nxtedition/rocksdb/binding.js') as RocksBinding;
}
