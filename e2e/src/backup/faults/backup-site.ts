/**
 * A cluster, its maintenance app and the store of its backups, all of them real processes: started, killed.
 *
 * In: how many nodes, which kind of store. Out: ways to end each of them and start it again, and what lies in
 * the store. A folder has no process of its own.
 */
import { existsSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from '../../harness/cluster.js';
import { MaintenanceProcess } from '../../harness/maintenance-process.js';
import { temporaryFolder } from '../../harness/node-process.js';
import { StoreProcess } from '../../harness/store-process.js';

export const STORE_KINDS = ['file', 's3'] as const;
export type StoreKind = (typeof STORE_KINDS)[number];

export const VICTIMS = ['maintenance', 'node', 'store'] as const;
export type Victim = (typeof VICTIMS)[number];

/** Backups that a prune keeps. */
export const KEEP_LAST = 2;
/** The least that the app takes: `setBack` makes what died so old. */
const UNFINISHED = '1h';
const AGE_MS = 2 * 3_600_000;
const FLAGS = [
  // Many objects for little data: there is something to interrupt.
  '--backup.chunk-bytes=65536',
  `--retention.keep-last=${KEEP_LAST}`,
  '--retention.keep-hourly=0',
  '--retention.keep-daily=0',
  '--retention.keep-weekly=0',
  `--retention.unfinished=${UNFINISHED}`,
];

export class BackupSite {
  private isClosed = false;

  private constructor(
    readonly cluster: Cluster,
    readonly app: MaintenanceProcess,
    private readonly folder: string,
    private readonly store: StoreProcess | undefined,
  ) {}

  static async start(nodes: number, kind: StoreKind): Promise<BackupSite> {
    const cluster = await Cluster.start(nodes, { keepsLogs: true });
    const folder = temporaryFolder('backup-faults');
    let store: StoreProcess | undefined;
    try {
      if (kind === 's3') store = await StoreProcess.start();
      const app = await MaintenanceProcess.start(
        cluster.endpoints,
        store?.url ?? folder,
        FLAGS,
        store && { environment: store.environment },
      );
      return new BackupSite(cluster, app, folder, store);
    } catch (error) {
      await store?.dispose();
      await cluster.dispose();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get victims(): readonly Victim[] {
    return this.store ? VICTIMS : VICTIMS.filter((each) => each !== 'store');
  }

  /** Of the nodes, and of the store. */
  get folders(): readonly string[] {
    return [this.cluster.folder, this.store?.folder ?? this.folder];
  }

  /** `nth` says which node, where it is one. */
  async kill(victim: Victim, nth: number): Promise<void> {
    if (victim === 'node') await this.node(nth).kill();
    else if (victim === 'maintenance') await this.app.kill();
    else await this.store?.kill();
  }

  async startAgain(victim: Victim, nth: number): Promise<void> {
    // Whoever was interrupted may still be at it: nothing is started that nobody would end.
    if (this.isClosed) return;
    if (victim === 'node') await this.node(nth).start();
    else if (victim === 'maintenance') await this.app.start();
    else await this.store?.start();
  }

  /** Names of all objects. */
  objectNames(): string[] {
    return this.objectFiles().map(([name]) => name);
  }

  /** Files and uploads that nobody has finished. */
  leftovers(): number {
    if (this.store) return this.store.unfinishedUploads();
    return ['temporary', 'uploads'].reduce(
      (sum, name) => sum + entriesOf(join(this.folder, name)).length,
      0,
    );
  }

  /** Makes all objects of these backups, and whatever a writer has not finished, as old as has to go. */
  setBack(backups: ReadonlySet<string>): void {
    const at = new Date(Date.now() - AGE_MS);
    for (const [name, file] of this.objectFiles()) {
      if (backups.has(idOf(name))) utimesSync(file, at, at);
    }
    const temporary = join(this.folder, 'temporary');
    for (const name of entriesOf(temporary)) utimesSync(join(temporary, name), at, at);
  }

  async dispose({ keepFolder = false } = {}): Promise<void> {
    this.isClosed = true;
    await this.app.kill();
    await this.cluster.dispose({ keepFolder });
    if (keepFolder && !this.store) return;
    rmSync(this.folder, { recursive: true, force: true });
    if (keepFolder) await this.store?.kill();
    else await this.store?.dispose();
  }

  private node(nth: number) {
    const { ids } = this.cluster;
    return this.cluster.node(ids[nth % ids.length] ?? 1);
  }

  private objectFiles(): (readonly [string, string])[] {
    if (this.store) return [...this.store.objectFiles()];
    const objects = join(this.folder, 'objects');
    if (!existsSync(objects)) return [];
    return readdirSync(objects, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name, parentPath }) => {
        const file = join(parentPath, name);
        return [file.slice(objects.length + 1).replaceAll('+/', '/'), file] as const;
      });
  }
}

/** The backup that an object belongs to. */
export function idOf(objectName: string): string {
  return /backups\/([^/]+)\//.exec(objectName)?.[1] ?? '';
}

function entriesOf(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
