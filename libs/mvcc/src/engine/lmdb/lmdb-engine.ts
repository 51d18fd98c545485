/**
 * LMDB behind the engine port.
 *
 * In: a directory. Out: an `Engine` whose reads come from mapped memory and whose batches are gathered
 * into commits (`write-window.ts`). Commits are never synced one by one: what a crash leaves is the
 * last recovery point (`recovery-point.ts`), whose rest the Raft log replays. A write that failed is
 * final: the engine answers every call with that error until it is opened again.
 */
import { mkdir } from 'node:fs/promises';
import {
  type Engine,
  type EngineBatch,
  type EngineIterator,
  type EngineIteratorOptions,
  type EngineProperties,
  type EngineRange,
} from '../engine.js';
import { EngineError } from '../engine-error.js';
import { refuseOtherEngines } from '../folder-engine.js';
import { KEY_BYTES_MAX, type LmdbStore, openStore, VIEWS_MAX } from './binding.js';
import { DirectoryLock } from './directory-lock.js';
import { type Change, LmdbBatch } from './lmdb-batch.js';
import { LmdbIterator } from './lmdb-iterator.js';
import { toEngineError } from './native-error.js';
import { RangeRemoval } from './range-removal.js';
import { recover, RecoveryPoints } from './recovery-point.js';
import { WriteWindow } from './write-window.js';

export interface LmdbEngineOptions {
  /** Created if missing. */
  directory: string;
  /**
   * Pages written, estimated from above, after which a recovery point is taken. Pages given up since
   * the last one are not used again, so this bounds by how much the file outgrows its data. Default
   * 8,192, which is 64 MiB.
   */
  pagesPerRecoveryPoint?: number;
}

const PAGES_PER_POINT_DEFAULT = 8_192;

export async function openLmdbEngine(options: LmdbEngineOptions): Promise<Engine> {
  const { directory } = options;
  let lock: DirectoryLock | undefined;
  let store: LmdbStore | undefined;
  try {
    await mkdir(directory, { recursive: true });
    refuseOtherEngines(directory, 'lmdb');
    lock = await DirectoryLock.take(directory);
    await recover(directory);
    store = openStore(directory);
    const points = await RecoveryPoints.open(store, directory);
    const pagesPerPoint = options.pagesPerRecoveryPoint ?? PAGES_PER_POINT_DEFAULT;
    return new LmdbEngine(store, points, lock, pagesPerPoint);
  } catch (cause) {
    await store?.close();
    await lock?.release();
    throw toEngineError(cause, 'cannot open the store', 'ENGINE_OPEN_FAILED');
  }
}

class LmdbEngine implements Engine {
  private open = true;
  private closing: Promise<void> | undefined;
  private readonly window: WriteWindow;
  private readonly removal: RangeRemoval;
  private readonly iterators = new Set<LmdbIterator>();
  /** Those of them that read from the open write transaction. */
  private readonly unsettled = new Set<LmdbIterator>();
  /** Whether anything was written since the last recovery point began. */
  private isDirty = false;
  /** Recovery points are taken one after the other; never rejects. */
  private lastPoint: Promise<void> = Promise.resolve();
  private isPointQueued = false;

  constructor(
    private readonly store: LmdbStore,
    private readonly points: RecoveryPoints,
    private readonly lock: DirectoryLock,
    private readonly pagesPerPoint: number,
  ) {
    this.window = new WriteWindow(store);
    this.removal = new RangeRemoval(store, (changes) => this.change(changes));
  }

  get isOpen(): boolean {
    return this.open;
  }

  get(key: Uint8Array): Buffer | undefined {
    this.requireUsable();
    return this.read(key);
  }

  getMany(keys: readonly Uint8Array[]): (Buffer | undefined)[] {
    this.requireUsable();
    return keys.map((key) => this.read(key));
  }

  batch(): EngineBatch {
    this.requireUsable();
    return new LmdbBatch((changes) => this.apply(changes));
  }

  iterator(options: EngineIteratorOptions): EngineIterator {
    this.requireUsable();
    if (this.iterators.size >= VIEWS_MAX) {
      throw new EngineError('ENGINE_BUSY', `${VIEWS_MAX} range views are open`);
    }
    this.removal.finish(options);
    try {
      const view = this.window.isOpen ? undefined : this.store.useReadTransaction();
      const iterator = new LmdbIterator(this.store, view, options, (closed) => {
        this.iterators.delete(closed);
        this.unsettled.delete(closed);
      });
      this.iterators.add(iterator);
      if (view === undefined) this.unsettled.add(iterator);
      return iterator;
    } catch (cause) {
      throw toEngineError(cause, 'cannot open a range view');
    }
  }

  deleteRange(range: EngineRange): void {
    this.requireUsable();
    if (Buffer.compare(range.gte, range.lt) >= 0) return;
    this.removal.remove(range);
  }

  sync(): Promise<void> {
    try {
      this.requireUsable();
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    return this.queuePoint();
  }

  properties(): EngineProperties {
    this.requireUsable();
    const { entryCount, lastPageNumber, pageSize } = this.store.getStats();
    return { rows: entryCount, dataBytes: (lastPageNumber + 1) * pageSize };
  }

  /** Every write is in its place at once. */
  isBehind(): boolean {
    this.requireUsable();
    return false;
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  private read(key: Uint8Array): Buffer | undefined {
    if (key.length > KEY_BYTES_MAX) return undefined;
    this.removal.finishAt(key);
    try {
      return this.store.get(key);
    } catch (cause) {
      throw toEngineError(cause, 'read failed');
    }
  }

  private apply(changes: readonly Change[]): void {
    this.requireUsable();
    for (const { key } of changes) this.removal.finishAt(key);
    this.change(() => {
      let bytes = 0;
      for (const { key, value } of changes) {
        if (value === undefined) {
          this.store.removeSync(key);
        } else {
          this.store.putSync(key, value);
          bytes += value.length;
        }
      }
      return { rows: changes.length, bytes };
    });
  }

  private change(doIt: () => { rows: number; bytes: number }): void {
    if (this.unsettled.size > 0) this.commit();
    this.isDirty = true;
    this.window.write(doIt);
    if (this.window.pagesWritten >= this.pagesPerPoint && !this.isPointQueued) {
      this.isPointQueued = true;
      // A point that fails makes the next call fail.
      void this.queuePoint().catch(() => undefined);
    }
  }

  /** Ends the open write transaction; who reads from it goes on in a view of what it committed. */
  private commit(): void {
    for (const iterator of this.unsettled) iterator.leave();
    this.window.commit();
    for (const iterator of this.unsettled) iterator.settle(this.store.useReadTransaction());
    this.unsettled.clear();
  }

  private queuePoint(): Promise<void> {
    const point = this.lastPoint.then(() => this.takePoint());
    // Told by `point`; the next one begins either way.
    this.lastPoint = point.catch(() => undefined);
    return point;
  }

  private async takePoint(): Promise<void> {
    this.isPointQueued = false;
    this.window.requireHealthy();
    if (!this.isDirty) return;
    this.commit();
    this.window.takePages();
    this.isDirty = false;
    try {
      await this.points.take();
    } catch (cause) {
      // What a failed sync did not write is marked as written: no later sync can be believed.
      throw this.window.fail(toEngineError(cause, 'sync failed', 'ENGINE_IO'));
    }
  }

  private async closeOnce(): Promise<void> {
    this.open = false;
    this.removal.stop();
    try {
      await this.queuePoint();
    } finally {
      for (const iterator of this.iterators) iterator.close();
      await this.points.close();
      await this.store.close();
      await this.lock.release();
    }
  }

  private requireUsable(): void {
    if (!this.open) throw new EngineError('ENGINE_CLOSED', 'the store is closed');
    this.window.requireHealthy();
  }
}
