/**
 * Makes a backup of a cluster.
 *
 *   tables of the cluster --> some at a time: chunks, segments --> manifest
 *
 * In: the cluster, the store, what is wanted. Out: the manifest, written as the last object. Whatever
 * ends a run before that leaves a folder without a manifest: no backup, and the next run with the same
 * wish goes on with it. Memory: two chunks for each of the tables at work.
 */
import { BackupError, isBackupError } from '../backup-error.js';
import {
  CHAIN_MAX,
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  MANIFEST_BYTES_MAX,
  RUN_SIGN_MS,
  TABLES_AT_ONCE_MAX,
  TABLES_MAX,
} from '../bounds.js';
import { BackupCatalog } from '../catalog/backup-catalog.js';
import { type BackupClock } from '../clock.js';
import { type Begun, encodeBegun } from '../format/begun.js';
import { sha256Of } from '../format/chunk-codec.js';
import { type KeyRing } from '../format/key-ring.js';
import {
  encodeManifest,
  type Manifest,
  MANIFEST_FORMAT,
  type ManifestTable,
} from '../format/manifest.js';
import { begunName, manifestName } from '../format/names.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type RunFence } from '../objects/run-fence.js';
import { type SourceTable, type TableSource } from '../ports.js';
import { chooseRun } from './run-place.js';
import { backUpTable } from './table-backup.js';
import { type Written } from './table-writer.js';
import { inParallel } from './in-parallel.js';

export type BackupEvent =
  | {
      readonly kind: 'begun';
      readonly id: string;
      readonly resumed: boolean;
      readonly tables: number;
    }
  | {
      readonly kind: 'table';
      readonly table: string;
      readonly done: boolean;
      readonly written: Written;
    }
  | { readonly kind: 'gone'; readonly table: string };

export interface BackupWish {
  /** Names; empty for all tables. */
  readonly tables: readonly string[];
  /** What an incremental one adds to; undefined for a full one. */
  readonly parent: Manifest | undefined;
  /** Key to encrypt with; empty for none. */
  readonly keyId: string;
  readonly chunkBytes: number;
  readonly tablesAtOnce: number;
}

export interface BackupParts {
  readonly objects: BackupObjects;
  readonly source: TableSource;
  readonly keys: KeyRing;
  readonly clock: BackupClock;
  readonly signal: AbortSignal;
  readonly runner: string;
  /** Of the lease that the run is made under; undefined for one that was asked for by hand. */
  readonly fence?: RunFence | undefined;
  readonly onEvent: (event: BackupEvent) => void;
}

export async function createBackup(parts: BackupParts, wish: BackupWish): Promise<Manifest> {
  checkWish(wish);
  const { objects, source, keys, clock, signal } = parts;
  const cluster = await source.cluster(signal);
  const catalog = new BackupCatalog(objects, keys);
  const tables = wanted(cluster.tables, wish);
  if (wish.parent) await checkParent(catalog, wish.parent, cluster.clusterId, signal);
  const { unfinished } = await catalog.list(signal);
  const request = {
    runner: parts.runner,
    clusterId: cluster.clusterId,
    kind: wish.parent ? ('incremental' as const) : ('full' as const),
    parent: wish.parent?.id ?? null,
    keyId: wish.keyId,
    chunkBytes: wish.chunkBytes,
    tables: [...wish.tables],
    ...(parts.fence && { runToken: parts.fence.token }),
  };
  await parts.fence?.check(signal);
  const { begun, resumed } = chooseRun(request, unfinished, clock);
  const run = new BackupRun(parts, wish, begun, resumed);
  await run.sayAlive();
  parts.onEvent({ kind: 'begun', id: begun.id, resumed, tables: tables.length });
  return run.write(tables);
}

class BackupRun {
  private readonly gone: string[] = [];

  constructor(
    private readonly parts: BackupParts,
    private readonly wish: BackupWish,
    private readonly begun: Begun,
    private readonly resumed: boolean,
  ) {}

  async write(tables: readonly SourceTable[]): Promise<Manifest> {
    const ending = new AbortController();
    const { clock } = this.parts;
    const signs = this.keepAlive(ending.signal);
    try {
      const { tablesAtOnce } = this.wish;
      const one = (table: SourceTable, signal: AbortSignal) => this.table(table, signal);
      const { signal } = this.parts;
      const written = await inParallel(tables, tablesAtOnce, signal, one);
      signal.throwIfAborted();
      const { id, clusterId, kind, parent, startedAt, keyId, runToken } = this.begun;
      const manifest: Manifest = {
        format: MANIFEST_FORMAT,
        id,
        clusterId,
        kind,
        parent,
        startedAt,
        finishedAt: new Date(clock.wallMs()).toISOString(),
        keyId,
        ...(runToken !== undefined && { runToken }),
        tables: written.filter((table) => table !== undefined),
        goneTables: this.gone,
      };
      await this.checkParent();
      await this.parts.fence?.check(signal);
      await this.commit(manifest);
      return manifest;
    } finally {
      ending.abort();
      await signs;
    }
  }

  /** Of two runs that write to one folder, only the first one ends it, where the store can tell. */
  private async commit(manifest: Manifest): Promise<void> {
    const { objects, keys, signal } = this.parts;
    const name = manifestName(manifest.id);
    const bytes = encodeManifest(manifest, keys);
    if (await objects.writeFirst(name, bytes, MANIFEST_BYTES_MAX, signal)) return;
    throw new BackupError('RUN_BUSY', `another run has finished backup ${manifest.id} meanwhile`);
  }

  /** A prune may have taken it away just before this run said what it adds to. */
  private async checkParent(): Promise<void> {
    const { objects, keys, signal } = this.parts;
    const { parent } = this.begun;
    if (parent !== null) await new BackupCatalog(objects, keys).find(parent, signal);
  }

  async sayAlive(): Promise<void> {
    const { objects, signal } = this.parts;
    const bytes = encodeBegun(this.begun);
    const name = begunName(this.begun.id, this.begun.attempt);
    await objects.write(name, bytes, sha256Of(bytes), signal);
  }

  private async keepAlive(ending: AbortSignal): Promise<void> {
    for (;;) {
      await this.parts.clock.sleep(RUN_SIGN_MS, ending);
      if (ending.aborted) return;
      try {
        await this.sayAlive();
      } catch {
        // The store says by the writes of the run itself what is wrong with it.
        continue;
      }
    }
  }

  private async table(table: SourceTable, signal: AbortSignal): Promise<ManifestTable | undefined> {
    const { objects, source, keys, clock, onEvent } = this.parts;
    const { id: backup, attempt, keyId, chunkBytes } = this.begun;
    const { name } = table;
    const key = keyId === '' ? undefined : keys.get(keyId);
    const told = (done: boolean, written: Written) =>
      onEvent({ kind: 'table', table: name, done, written });
    try {
      const written = await backUpTable({
        objects,
        source,
        clock,
        signal,
        place: { backup, attempt, table, key, chunkBytes },
        ...basisOf(table, this.wish.parent),
        resume: this.resumed,
        onProgress: (each) => told(false, each),
      });
      told(true, written);
      return written;
    } catch (error) {
      const wasNamed = this.wish.tables.includes(name);
      if (!isBackupError(error, 'TABLE_CHANGED') || wasNamed) throw error;
      this.gone.push(name);
      onEvent({ kind: 'gone', table: name });
      return undefined;
    }
  }
}

/** Since when a table is wanted, and if as a whole, why. */
function basisOf(
  table: SourceTable,
  parent: Manifest | undefined,
): { readonly sinceRevision: number; readonly wholeBecause: string } {
  if (!parent) return { sinceRevision: 0, wholeBecause: '' };
  const before = parent.tables.find(({ tableId }) => tableId === table.tableId);
  if (!before) return { sinceRevision: 0, wholeBecause: 'the backup before does not have it' };
  if (before.epoch !== table.epoch) {
    return { sinceRevision: 0, wholeBecause: 'its history began anew since' };
  }
  if (before.revision === 0) return { sinceRevision: 0, wholeBecause: 'it was empty before' };
  return { sinceRevision: before.revision, wholeBecause: '' };
}

function wanted(tables: readonly SourceTable[], wish: BackupWish): readonly SourceTable[] {
  if (tables.length > TABLES_MAX) {
    throw new BackupError('LIMIT', `the cluster has more than ${TABLES_MAX} tables`);
  }
  if (wish.tables.length === 0) return tables;
  return wish.tables.map((name) => {
    const table = tables.find((each) => each.name === name);
    if (table) return table;
    throw new BackupError('INVALID', `tables: the cluster has none named ${name}`);
  });
}

function checkWish({ chunkBytes, tablesAtOnce }: BackupWish): void {
  if (chunkBytes < CHUNK_BYTES_MIN || chunkBytes > CHUNK_BYTES_MAX) {
    const range = `${CHUNK_BYTES_MIN} to ${CHUNK_BYTES_MAX}`;
    throw new BackupError('INVALID', `chunk bytes: ${chunkBytes} where ${range} are due`);
  }
  if (tablesAtOnce < 1 || tablesAtOnce > TABLES_AT_ONCE_MAX) {
    const text = `tables at once: ${tablesAtOnce} where 1 to ${TABLES_AT_ONCE_MAX} are due`;
    throw new BackupError('INVALID', text);
  }
}

async function checkParent(
  catalog: BackupCatalog,
  parent: Manifest,
  clusterId: string,
  signal: AbortSignal,
): Promise<void> {
  if (parent.clusterId !== clusterId) {
    throw new BackupError('INVALID', `parent: backup ${parent.id} is of another cluster`);
  }
  const chain = await catalog.chain(parent.id, signal);
  if (chain.length >= CHAIN_MAX) {
    throw new BackupError('LIMIT', `${chain.length} backups in a chain: a full one is due`);
  }
}
