/**
 * Writes pieces of logs, and whose they are.
 *
 * In: entries of a table without gaps. Out: objects named by what is in them. Whose log it is, and with which
 * keys it can be opened, is told before the first piece that needs it: no piece is ever without.
 */
import { isBackupError } from '../backup-error.js';
import { sha256Of } from '../format/chunk-codec.js';
import { type KeyRing } from '../format/key-ring.js';
import { tableInfoName } from '../format/log-names.js';
import { sealLog } from '../format/log-segment.js';
import {
  encodeLogTable,
  LOG_KEYS_MAX,
  LOG_TABLE_BYTES_MAX,
  LOG_TABLE_FORMAT,
} from '../format/log-table.js';
import { type EntryRecord } from '../format/records.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type SourceTable } from '../ports.js';
import { LogCatalog } from './log-catalog.js';

/** Two that ship with different keys at the same time see each other's word at the latest then. */
const TELL_ATTEMPTS_MAX = 3;

export class LogWriter {
  private readonly catalog: LogCatalog;

  constructor(
    private readonly objects: BackupObjects,
    private readonly keys: KeyRing,
    /** Key to encrypt with; empty for none. */
    private readonly keyId: string,
  ) {
    this.catalog = new LogCatalog(objects, keys);
  }

  /** Says whose log it is, unless that is said already; again where somebody else has said less meanwhile. */
  async tellTable(clusterId: string, table: SourceTable, signal: AbortSignal): Promise<void> {
    const { name, tableId, epoch } = table;
    const object = tableInfoName(tableId);
    for (let attempt = 0; attempt < TELL_ATTEMPTS_MAX; attempt++) {
      const keyIds = await this.keyIdsOf(tableId, signal);
      const told = { format: LOG_TABLE_FORMAT, clusterId, name, tableId, epoch, keyIds };
      const bytes = encodeLogTable(told, this.keys);
      const before = await this.objects.read(object, LOG_TABLE_BYTES_MAX, signal);
      if (before?.equals(bytes) === true) return;
      await this.objects.write(object, bytes, sha256Of(bytes), signal);
    }
  }

  /** Bytes of the object. */
  async write(
    table: SourceTable,
    entries: readonly EntryRecord[],
    signal: AbortSignal,
  ): Promise<number> {
    const key = this.keyId === '' ? undefined : this.keys.get(this.keyId);
    const { name, bytes, sha256 } = await sealLog(table, entries, key);
    await this.objects.write(name, bytes, sha256, signal);
    return bytes.length;
  }

  /** Those of before, and the one of now as the last. */
  private async keyIdsOf(tableId: number, signal: AbortSignal): Promise<readonly string[]> {
    const before = await this.knownKeyIds(tableId, signal);
    return [...before.filter((id) => id !== this.keyId), this.keyId].slice(-LOG_KEYS_MAX);
  }

  private async knownKeyIds(tableId: number, signal: AbortSignal): Promise<readonly string[]> {
    try {
      return (await this.catalog.table(tableId, signal))?.keyIds ?? [];
    } catch (error) {
      if (!isBackupError(error, 'BACKUP_DAMAGED', 'BACKUP_UNREADABLE')) throw error;
      // What was told is lost; any key of ours may have been used.
      return this.keys.ids;
    }
  }
}
