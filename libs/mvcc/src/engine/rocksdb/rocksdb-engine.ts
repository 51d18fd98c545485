/**
 * RocksDB behind the engine port.
 *
 * In: a directory and sizes. Out: an `Engine` whose reads and unsynced writes run on the calling
 * thread and whose background work runs on RocksDB's own. Every native call is guarded here, because
 * the native layer crashes on closed handles. Batches must never be synced: what makes a write
 * durable is the Raft log, and `sync` is called before that log is cut.
 */
import { mkdir } from 'node:fs/promises';
import {
  type Engine,
  type EngineBatch,
  type EngineIterator,
  type EngineIteratorOptions,
  type EnginePage,
  type EngineProperties,
  type EngineRange,
  PAGE_BYTES_MAX,
} from '../engine.js';
import { EngineError } from '../engine-error.js';
import { refuseOtherEngines } from '../folder-engine.js';
import {
  type BatchHandle,
  type DatabaseHandle,
  type IteratorHandle,
  loadBinding,
  type RocksBinding,
} from './binding.js';
import { toEngineError } from './native-error.js';
import { flushWalFiles } from './wal-flush.js';

const MIB = 1024 * 1024;

export interface RocksEngineOptions {
  /** Created if missing. */
  directory: string;
  /** Block cache for data, index and filter blocks. Default 64 MiB. */
  blockCacheBytes?: number;
  /** A memtable takes a quarter; under write pressure up to one and a half of it. Default 56 MiB. */
  memtableBudgetBytes?: number;
  /** Flush and compaction threads. Default 2. */
  backgroundThreads?: number;
}

/** Freed batches kept for reuse: a native batch keeps its memory, so only a few. */
const FREE_BATCHES_MAX = 2;
const CACHE_BYTES_MAX = 0xffffffff;

/** Half as much makes a put of 1 KiB cost a third more CPU; with more, a node that fills a table grows by 100 MiB. */
const MEMTABLE_BUDGET_BYTES = 56 * MIB;

/** Full memtables that are being flushed: two go into a file, each more is memory, and the fifth would slow all writes down. */
const MEMTABLES_BEHIND = 2;
/** Files that wait to be merged, each of half a memtable budget: twenty would slow all writes down. */
const FILES_BEHIND = 8;

/** The write-ahead log is not compressed: that costs half the CPU of a write of 1 KiB. */
const WAL_COMPRESSION = false;

/**
 * Every level but the first two is compressed with zstd either way. To train a dictionary for each file takes
 * a third to a half of the CPU of all compactions, and makes files smaller by two or three parts in a hundred.
 */
const COMPRESSION_DICTIONARIES = false;

export async function openRocksEngine(options: RocksEngineOptions): Promise<Engine> {
  const cacheBytes = options.blockCacheBytes ?? 64 * MIB;
  if (cacheBytes < 0 || cacheBytes > CACHE_BYTES_MAX) {
    throw new EngineError(
      'ENGINE_OPEN_FAILED',
      `block cache of ${cacheBytes} bytes is not possible`,
    );
  }
  try {
    const binding = loadBinding();
    await mkdir(options.directory, { recursive: true });
    refuseOtherEngines(options.directory, 'rocksdb');
    const db = binding.db_init(options.directory);
    await settle((callback) => {
      const opened = {
        createIfMissing: true,
        parallelism: options.backgroundThreads ?? 2,
        memtableMemoryBudget: options.memtableBudgetBytes ?? MEMTABLE_BUDGET_BYTES,
        compaction: 'level',
        compression: COMPRESSION_DICTIONARIES,
        walCompression: WAL_COMPRESSION,
        cacheSize: cacheBytes,
        optimize: 'point-lookup',
        cacheIndexAndFilterBlocks: true,
      } as const;
      binding.db_open(db, opened, callback);
    });
    return new RocksEngine(binding, db, options.directory);
  } catch (cause) {
    throw toEngineError(cause, 'cannot open the store', 'ENGINE_OPEN_FAILED');
  }
}

/** One callback of the native layer as a promise. */
function settle(start: (callback: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === null ? resolve() : reject(error)));
  });
}

class RocksEngine implements Engine {
  private open = true;
  private closing: Promise<void> | undefined;
  private readonly iterators = new Set<RocksIterator>();
  private readonly syncs = new Set<Promise<void>>();
  private readonly freeBatches: BatchHandle[] = [];

  constructor(
    private readonly binding: RocksBinding,
    private readonly db: DatabaseHandle,
    private readonly directory: string,
  ) {}

  get isOpen(): boolean {
    return this.open;
  }

  get(key: Uint8Array): Buffer | undefined {
    return this.getMany([key])[0];
  }

  getMany(keys: readonly Uint8Array[]): (Buffer | undefined)[] {
    const db = this.requireOpen();
    try {
      return this.binding.db_get_many_sync(db, keys, undefined);
    } catch (cause) {
      throw toEngineError(cause, 'read failed');
    }
  }

  batch(): EngineBatch {
    this.requireOpen();
    return new RocksBatch(this, this.binding, this.freeBatches.pop() ?? this.binding.batch_init());
  }

  iterator(options: EngineIteratorOptions): EngineIterator {
    const db = this.requireOpen();
    const content = options.content ?? 'entries';
    try {
      const handle = this.binding.iterator_init(db, {
        gte: options.gte,
        lt: options.lt,
        reverse: options.reverse ?? false,
        keys: content !== 'values',
        values: content !== 'keys',
        keyEncoding: 'buffer',
        valueEncoding: 'buffer',
        highWaterMarkBytes: options.pageBytesMax ?? PAGE_BYTES_MAX,
      });
      const isEmpty = Buffer.compare(options.gte, options.lt) >= 0;
      const iterator = new RocksIterator(this.binding, handle, content, isEmpty, this.iterators);
      this.iterators.add(iterator);
      return iterator;
    } catch (cause) {
      throw toEngineError(cause, 'cannot open a range view');
    }
  }

  deleteRange(range: EngineRange): void {
    const db = this.requireOpen();
    try {
      this.binding.db_clear(db, { gte: range.gte, lt: range.lt });
    } catch (cause) {
      throw toEngineError(cause, 'range delete failed');
    }
  }

  async sync(): Promise<void> {
    this.requireOpen();
    const running = this.syncOnce();
    this.syncs.add(running);
    try {
      await running;
    } catch (cause) {
      throw toEngineError(cause, 'sync failed', 'ENGINE_IO');
    } finally {
      this.syncs.delete(running);
    }
  }

  properties(): EngineProperties {
    return {
      rows: this.property('rocksdb.estimate-num-keys'),
      dataBytes: this.property('rocksdb.total-sst-files-size'),
      memtableBytes: this.property('rocksdb.cur-size-all-mem-tables'),
      blockCacheBytes: this.property('rocksdb.block-cache-usage'),
      compactionPendingBytes: this.property('rocksdb.estimate-pending-compaction-bytes'),
    };
  }

  isBehind(): boolean {
    const memtables = this.property('rocksdb.num-immutable-mem-table');
    if (memtables >= MEMTABLES_BEHIND) return true;
    return this.property('rocksdb.num-files-at-level0') >= FILES_BEHIND;
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  /** Called by a batch: apply it, then take its native part back. */
  writeBatch(handle: BatchHandle): void {
    const db = this.requireOpen();
    try {
      this.binding.batch_write(db, handle, undefined);
    } catch (cause) {
      throw toEngineError(cause, 'write failed');
    }
  }

  releaseBatch(handle: BatchHandle): void {
    this.binding.batch_clear(handle);
    if (this.freeBatches.length < FREE_BATCHES_MAX) this.freeBatches.push(handle);
  }

  private async syncOnce(): Promise<void> {
    await flushWalFiles(this.directory);
    const empty = this.binding.batch_init();
    // Closing waits for this function, so the database is still open here.
    this.binding.batch_write(this.db, empty, { sync: true });
  }

  private async closeOnce(): Promise<void> {
    this.open = false;
    await Promise.allSettled(this.syncs);
    for (const iterator of this.iterators) iterator.close();
    try {
      await settle((callback) => this.binding.db_close(this.db, callback));
    } catch (cause) {
      throw toEngineError(cause, 'cannot close the store');
    }
  }

  private property(name: string): number {
    return Number(this.binding.db_get_property(this.requireOpen(), name));
  }

  private requireOpen(): DatabaseHandle {
    if (!this.open) throw new EngineError('ENGINE_CLOSED', 'the store is closed');
    return this.db;
  }
}

class RocksBatch implements EngineBatch {
  private handle: BatchHandle | undefined;
  private operations = 0;

  constructor(
    private readonly engine: RocksEngine,
    private readonly binding: RocksBinding,
    handle: BatchHandle,
  ) {
    this.handle = handle;
  }

  get length(): number {
    return this.operations;
  }

  put(key: Uint8Array, value: Uint8Array): this {
    this.binding.batch_put(this.requireHandle(), key, value, undefined);
    this.operations += 1;
    return this;
  }

  del(key: Uint8Array): this {
    this.binding.batch_del(this.requireHandle(), key, undefined);
    this.operations += 1;
    return this;
  }

  write(): void {
    try {
      this.engine.writeBatch(this.requireHandle());
    } finally {
      this.close();
    }
  }

  close(): void {
    if (this.handle === undefined) return;
    this.engine.releaseBatch(this.handle);
    this.handle = undefined;
    this.operations = 0;
  }

  private requireHandle(): BatchHandle {
    if (this.handle === undefined) throw new EngineError('ENGINE_CLOSED', 'the batch has ended');
    return this.handle;
  }
}

class RocksIterator implements EngineIterator {
  private handle: IteratorHandle | undefined;
  private done: boolean;

  constructor(
    private readonly binding: RocksBinding,
    handle: IteratorHandle,
    private readonly content: 'entries' | 'keys' | 'values',
    isEmpty: boolean,
    private readonly registry: Set<RocksIterator>,
  ) {
    this.handle = handle;
    this.done = isEmpty;
  }

  read(rowsMax: number): EnginePage {
    if (this.handle === undefined) {
      throw new EngineError('ENGINE_CLOSED', 'the range view is closed');
    }
    if (this.done) return { items: [], done: true };
    try {
      const page = this.binding.iterator_nextv_sync(this.handle, Math.max(1, rowsMax));
      this.done = page.finished;
      return { items: this.itemsOf(page.rows), done: page.finished };
    } catch (cause) {
      throw toEngineError(cause, 'range read failed');
    }
  }

  close(): void {
    if (this.handle === undefined) return;
    this.registry.delete(this);
    this.binding.iterator_close(this.handle);
    this.handle = undefined;
  }

  private itemsOf(rows: (Buffer | undefined)[]): Buffer[] {
    const items: Buffer[] = [];
    const step = this.content === 'entries' ? 1 : 2;
    for (let at = this.content === 'values' ? 1 : 0; at < rows.length; at += step) {
      const item = rows[at];
      if (item !== undefined) items.push(item);
    }
    return items;
  }
}
