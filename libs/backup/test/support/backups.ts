/**
 * What the tests of backups share: a store in memory, runs and restores against a fake cluster, and
 * programs that die at a given step.
 */
import { MemoryStore } from '@flotilla/object-store/testing';
import {
  type BackupEvent,
  BackupCatalog,
  BackupObjects,
  type BackupParts,
  type BackupStore,
  type BackupWish,
  createBackup,
  KeyRing,
  type Manifest,
  readChain,
  readersOf,
  restoreTable,
  type RestoredTable,
  type RowRecord,
} from '../../src/index.js';
import { FakeBackupClock, type FakeCluster, type FakeTable } from '../../src/testing/index.js';

export const NEVER: AbortSignal = new AbortController().signal;
export const KEYS = new KeyRing([
  { id: 'k1', secret: Buffer.alloc(32, 1) },
  { id: 'k2', secret: Buffer.alloc(32, 2) },
]);

/** Everything after so many writes fails, as for a process that was killed. */
export class DyingStore implements BackupStore {
  constructor(
    private readonly store: MemoryStore,
    private writesLeft: number,
  ) {}

  async put(...args: Parameters<BackupStore['put']>): ReturnType<BackupStore['put']> {
    if (this.writesLeft-- <= 0) throw new Error('killed');
    return this.store.put(...args);
  }

  get(...args: Parameters<BackupStore['get']>): ReturnType<BackupStore['get']> {
    return this.store.get(...args);
  }

  list(...args: Parameters<BackupStore['list']>): ReturnType<BackupStore['list']> {
    return this.store.list(...args);
  }

  deleteMany(
    ...args: Parameters<BackupStore['deleteMany']>
  ): ReturnType<BackupStore['deleteMany']> {
    return this.store.deleteMany(...args);
  }

  cleanUp(...args: Parameters<BackupStore['cleanUp']>): ReturnType<BackupStore['cleanUp']> {
    return this.store.cleanUp(...args);
  }
}

export class Bench {
  readonly store = new MemoryStore();
  readonly objects = new BackupObjects(this.store);
  readonly catalog = new BackupCatalog(this.objects, KEYS);
  readonly clock = new FakeBackupClock();
  readonly events: BackupEvent[] = [];

  constructor(readonly cluster: FakeCluster) {}

  create(
    wish: Partial<BackupWish> = {},
    store: BackupStore = this.store,
    run: Partial<Pick<BackupParts, 'fence' | 'runner'>> = {},
  ): Promise<Manifest> {
    this.clock.nowMs += 1_000;
    const { cluster: source, clock } = this;
    const parts = {
      objects: new BackupObjects(store),
      source,
      keys: KEYS,
      clock,
      signal: NEVER,
      runner: 'test',
      onEvent: (event: BackupEvent) => this.events.push(event),
      ...run,
    };
    return createBackup(parts, {
      tables: [],
      parent: undefined,
      keyId: '',
      chunkBytes: 1_024,
      tablesAtOnce: 2,
      ...wish,
    });
  }

  /** Rows of a table as the chain up to a backup has them. */
  async rows(id: string, name: string): Promise<RowRecord[]> {
    const readers = await this.readers(id, name);
    const rows: RowRecord[] = [];
    for await (const batch of readChain(readers, NEVER)) rows.push(...batch);
    return rows;
  }

  async restore(id: string, name: string, to: string): Promise<RestoredTable> {
    const readers = await this.readers(id, name);
    const replaced = this.cluster.tables.get(to)?.tableId ?? 0;
    const parts = {
      shadows: this.cluster,
      signal: NEVER,
      rows: (afterKey: Buffer | undefined) => readChain(readers, NEVER, afterKey),
      onProgress: () => undefined,
    };
    return restoreTable(parts, {
      table: to,
      replacesTableId: replaced,
      purpose: `restore/${id}/${name}`,
      replaceShadow: false,
      revision: readers.at(-1)?.table.revision ?? 0,
    });
  }

  async objectNames(prefix = ''): Promise<string[]> {
    const names: string[] = [];
    for await (const { key } of this.objects.list(prefix)) names.push(key);
    return names;
  }

  private async readers(id: string, name: string) {
    const chain = await this.catalog.chain(id);
    const table = chain.at(-1)?.tables.find((each) => each.name === name);
    if (!table) throw new Error(`no table ${name}`);
    return readersOf(chain, table, this.objects, KEYS);
  }
}

/** What a fake table was at a revision, as records of a backup. */
export function recordsAt(table: FakeTable, revision: number): RowRecord[] {
  return [...table.at(revision).values()]
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map((row) => ({ kind: 'row', ...row }));
}
