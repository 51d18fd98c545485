/**
 * What this app does with backups: one thing that writes at a time, any number that read.
 *
 * In: wishes of callers and of the schedule. Out: manifests, reports, restored tables. Two runs at once
 * in one process would fight over the cluster and the store; the second one is refused, not queued.
 */
import {
  BackupCatalog,
  type BackupClock,
  BackupError,
  type BackupEvent,
  type BackupKind,
  type BackupListing,
  BackupObjects,
  createBackup,
  type KeyRing,
  type ListedLog,
  listLogs,
  LogCatalog,
  type Manifest,
  prune,
  type PruneReport,
  raiseFence,
  type RetentionRules,
  type RunFence,
  type ShadowWriter,
  type SourceCluster,
  type TableSource,
  verifyChain,
  type VerifyReport,
} from '@flotilla/backup';
import { type ObjectStore } from '@flotilla/object-store';
import { type Logger } from '@flotilla/platform';
import { type BackupConfig } from '../config/maintenance-config.js';
import { planPointRestore, pointOf } from './point-restore-plan.js';
import { planRestore, type RestorePlan, type RestoreWish } from './restore-plan.js';
import { type RestoredOne, runRestore, type RestoreListener } from './restore-run.js';

export interface EngineParts {
  readonly store: ObjectStore;
  readonly keys: KeyRing;
  readonly source: TableSource;
  readonly shadows: ShadowWriter;
  readonly clock: BackupClock;
  readonly config: BackupConfig;
  readonly runner: string;
  readonly logger: Pick<Logger, 'warn'>;
  /** Told of each backup that was made. */
  readonly onGood: (manifest: Manifest) => void;
}

export interface CreateWish {
  readonly kind: BackupKind;
  readonly tables: readonly string[];
  /** Of an incremental one; empty for the newest backup there is. */
  readonly parent: string;
}

export class BackupEngine {
  readonly catalog: BackupCatalog;
  private readonly objects: BackupObjects;
  private busy: string | undefined;

  constructor(private readonly parts: EngineParts) {
    this.objects = new BackupObjects(parts.store);
    this.catalog = new BackupCatalog(this.objects, parts.keys);
  }

  create(
    wish: CreateWish,
    signal: AbortSignal,
    onEvent: (event: BackupEvent) => void,
    fence?: RunFence,
  ): Promise<Manifest> {
    return this.alone('a backup is being made', async () => {
      const { source, keys, clock, config, runner } = this.parts;
      const parent = wish.kind === 'full' ? undefined : await this.find(wish.parent, signal);
      const parts = { objects: this.objects, source, keys, clock, signal, runner, onEvent, fence };
      const { keyId, chunkBytes, tablesAtOnce } = config;
      const { tables } = wish;
      const made = { tables, parent, keyId, chunkBytes, tablesAtOnce };
      const manifest = await createBackup(parts, made);
      this.parts.onGood(manifest);
      return manifest;
    });
  }

  list(signal: AbortSignal): Promise<BackupListing> {
    return this.catalog.list(signal);
  }

  /** What is stored of logs, and from where on it can be restored with the backups of a listing. */
  logs({ good }: BackupListing, signal: AbortSignal): Promise<readonly ListedLog[]> {
    return listLogs(new LogCatalog(this.objects, this.parts.keys), good, signal);
  }

  /** The newest one for an empty id. */
  async find(id: string, signal: AbortSignal, beforeMs = 0): Promise<Manifest> {
    if (id !== '') return this.catalog.find(id, signal);
    const { good } = await this.catalog.list(signal);
    const due = (manifest: Manifest) =>
      beforeMs === 0 || Date.parse(manifest.finishedAt) <= beforeMs;
    const newest = good.findLast(due);
    if (newest) return newest;
    const when = beforeMs === 0 ? 'yet' : `from before ${new Date(beforeMs).toISOString()}`;
    throw new BackupError('BACKUP_NOT_FOUND', `there is no backup ${when}`);
  }

  async chain(id: string, signal: AbortSignal): Promise<readonly Manifest[]> {
    return this.catalog.chain((await this.find(id, signal)).id, signal);
  }

  async verify(
    id: string,
    signal: AbortSignal,
    onTable: (table: string, chunks: number) => void,
  ): Promise<VerifyReport & { readonly id: string }> {
    const chain = await this.chain(id, signal);
    const { objects } = this;
    const { keys } = this.parts;
    const told = (_: string, table: string, chunks: number) => onTable(table, chunks);
    const { good } = await this.catalog.list(signal);
    const report = await verifyChain({ objects, keys, signal, onTable: told }, chain, good);
    return { id: chain.at(-1)?.id ?? '', ...report };
  }

  /** Makes the token of a runner known to the store: from here on older ones commit nothing. */
  async fence(token: number, holder: string, signal: AbortSignal): Promise<RunFence> {
    const { clusterId } = await this.parts.source.cluster(signal);
    return raiseFence(this.objects, { clusterId, token, holder }, signal);
  }

  prune(
    rules: RetentionRules,
    dryRun: boolean,
    signal: AbortSignal,
    fence?: RunFence,
  ): Promise<PruneReport> {
    return this.alone('a prune is going on', async () => {
      const { keys, clock } = this.parts;
      const cluster = await this.cluster(signal);
      const parts = { objects: this.objects, keys, clock, signal, fence, cluster };
      return prune(parts, rules, dryRun);
    });
  }

  /** Undefined if it cannot be asked: a prune does without. */
  private async cluster(signal: AbortSignal): Promise<SourceCluster | undefined> {
    try {
      return await this.parts.source.cluster(signal);
    } catch (error) {
      signal.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      this.parts.logger.warn(
        { reason },
        'the cluster cannot be asked: logs of tables that are gone stay',
      );
      return undefined;
    }
  }

  async plan(wish: RestoreWish, signal: AbortSignal): Promise<RestorePlan> {
    const point = pointOf(wish);
    if (point) {
      const { tables: there } = await this.parts.source.cluster(signal);
      const parts = { objects: this.objects, keys: this.parts.keys, there, signal };
      return planPointRestore(parts, wish, point);
    }
    const { id } = await this.find(wish.id, signal, wish.beforeMs);
    const chain = await this.catalog.chain(id, signal);
    const cluster = await this.parts.source.cluster(signal);
    return planRestore(chain, wish, cluster.tables, this.objects, this.parts.keys);
  }

  restore(
    plan: RestorePlan,
    signal: AbortSignal,
    listener: RestoreListener,
  ): Promise<readonly RestoredOne[]> {
    return this.alone('a restore is going on', () => {
      const { shadows, source, config } = this.parts;
      const parts = { shadows, source, signal, listener, atOnce: config.tablesAtOnce };
      return runRestore(parts, plan);
    });
  }

  /** Restores the newest backup where nobody sees it, and gives it up again. Rows that were read. */
  async drill(signal: AbortSignal): Promise<number> {
    const what = {
      id: '',
      beforeMs: 0,
      tables: [],
      inPlace: false,
      as: '',
      replaceUnfinished: true,
    };
    const plan = await this.plan({ ...what, isDrill: true }, signal);
    const restored = await this.restore(plan, signal, () => undefined);
    return restored.reduce((sum, each) => sum + each.restored.rows, 0);
  }

  private async alone<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.busy !== undefined) throw new BackupError('RUN_BUSY', `${this.busy} here already`);
    this.busy = what;
    try {
      return await work();
    } finally {
      this.busy = undefined;
    }
  }
}
