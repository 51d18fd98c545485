/**
 * Which backups there are, and which runs were never finished.
 *
 *   folder with a manifest --> a backup, if it can be read
 *   folder without         --> unfinished: somebody writes it, or nobody does any more
 *
 * In: a store. Out: both, in the order of their beginning. A manifest that cannot be read is told with
 * the reason; it never counts as a good backup.
 */
import { BackupError, isBackupError } from '../backup-error.js';
import { BACKUPS_MAX, CHAIN_MAX, MANIFEST_BYTES_MAX } from '../bounds.js';
import { type Begun, BEGUN_BYTES_MAX, decodeBegun } from '../format/begun.js';
import { type KeyRing } from '../format/key-ring.js';
import { decodeManifest, type Manifest } from '../format/manifest.js';
import {
  backupFolder,
  BACKUPS_FOLDER,
  checkBackupId,
  isBackupId,
  manifestName,
} from '../format/names.js';
import { type BackupObjects } from '../objects/backup-objects.js';

export interface Unfinished {
  readonly id: string;
  /** The youngest attempt; undefined if none can be read. */
  readonly begun: Begun | undefined;
  /** When it last said that it lives, by the clock of the store; 0 if never. */
  readonly aliveAtMs: number;
}

export interface Unreadable {
  readonly id: string;
  readonly reason: string;
}

export interface BackupListing {
  readonly good: readonly Manifest[];
  readonly unreadable: readonly Unreadable[];
  readonly unfinished: readonly Unfinished[];
}

export class BackupCatalog {
  constructor(
    private readonly objects: BackupObjects,
    private readonly keys: KeyRing,
  ) {}

  async list(signal?: AbortSignal): Promise<BackupListing> {
    const good: Manifest[] = [];
    const unreadable: Unreadable[] = [];
    const unfinished: Unfinished[] = [];
    for await (const id of this.ids(signal)) {
      try {
        const manifest = await this.read(id, signal);
        if (manifest) good.push(manifest);
        else unfinished.push(await this.unfinished(id, signal));
      } catch (error) {
        if (!isBackupError(error)) throw error;
        unreadable.push({ id, reason: error.message });
      }
      if (good.length + unreadable.length + unfinished.length > BACKUPS_MAX) {
        throw new BackupError('LIMIT', `there are more than ${BACKUPS_MAX} backups`);
      }
    }
    return { good, unreadable, unfinished };
  }

  /** Undefined if it was never finished. */
  async read(id: string, signal?: AbortSignal): Promise<Manifest | undefined> {
    const name = manifestName(checkBackupId(id));
    const bytes = await this.objects.read(name, MANIFEST_BYTES_MAX, signal);
    if (!bytes) return undefined;
    const manifest = decodeManifest(bytes, name, this.keys);
    if (manifest.id === id) return manifest;
    throw new BackupError('BACKUP_DAMAGED', `${name}: it is of backup ${manifest.id}`);
  }

  async find(id: string, signal?: AbortSignal): Promise<Manifest> {
    const manifest = await this.read(id, signal);
    if (manifest) return manifest;
    throw new BackupError('BACKUP_NOT_FOUND', `there is no finished backup ${id}`);
  }

  /** From the full one to this one. */
  async chain(id: string, signal?: AbortSignal): Promise<readonly Manifest[]> {
    const chain = [await this.find(id, signal)];
    for (let parent = chain[0]?.parent ?? null; parent !== null;) {
      if (chain.length >= CHAIN_MAX) {
        throw new BackupError('LIMIT', `backup ${id} adds to more than ${CHAIN_MAX} others`);
      }
      const before = await this.find(parent, signal);
      chain.unshift(before);
      parent = before.parent;
    }
    return chain;
  }

  /** Ids of all folders, in the order of time. A folder costs one look, however much is in it. */
  private async *ids(signal?: AbortSignal): AsyncGenerator<string, void, undefined> {
    for (let after: string | undefined; ;) {
      const name = await this.objects.firstAfter(BACKUPS_FOLDER, after, signal);
      if (name === undefined) return;
      const [id = ''] = name.slice(BACKUPS_FOLDER.length).split('/');
      if (isBackupId(id)) yield id;
      // The character behind the slash: everything of this folder lies before it.
      after = `${BACKUPS_FOLDER}${id}0`;
    }
  }

  private async unfinished(id: string, signal?: AbortSignal): Promise<Unfinished> {
    let begun: Begun | undefined;
    let aliveAtMs = 0;
    for await (const object of this.objects.list(`${backupFolder(id)}begun-`, signal)) {
      if (object.modifiedAtMs <= aliveAtMs) continue;
      const bytes = await this.objects.read(object.key, BEGUN_BYTES_MAX, signal);
      if (!bytes) continue;
      aliveAtMs = object.modifiedAtMs;
      try {
        begun = decodeBegun(bytes, object.key);
      } catch (error) {
        if (!isBackupError(error)) throw error;
      }
    }
    return { id, begun, aliveAtMs };
  }
}
