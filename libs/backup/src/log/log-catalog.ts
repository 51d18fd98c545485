/**
 * Which logs were shipped, and what is in them.
 *
 *   logs/<table>/table.json --> whose it is        logs/<table>/<epoch>/ --> pieces, by their names
 *
 * In: a store. Out: tables, pieces, entries. What cannot be read is an error that names the object; names
 * that are none of ours are passed over. Pieces of one table at a time are in memory, never those of all.
 */
import { BackupError } from '../backup-error.js';
import { LOG_OBJECT_BYTES_MAX, LOG_OBJECTS_MAX } from '../bounds.js';
import { type KeyRing } from '../format/key-ring.js';
import {
  logEpochFolder,
  logTableFolder,
  LOGS_FOLDER,
  parseLogName,
  tableInfoName,
} from '../format/log-names.js';
import { openLog } from '../format/log-segment.js';
import { decodeLogTable, LOG_TABLE_BYTES_MAX, type LogTable } from '../format/log-table.js';
import { type EntryRecord } from '../format/records.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type LogPiece } from './log-coverage.js';

/** Pieces of one table in one epoch. */
export interface ShippedEpoch {
  readonly tableId: number;
  readonly epoch: number;
  readonly pieces: readonly LogPiece[];
}

export class LogCatalog {
  constructor(
    private readonly objects: BackupObjects,
    private readonly keys: KeyRing,
  ) {}

  /** Every table and epoch with pieces, tables in the order of their ids. */
  async *all(signal?: AbortSignal): AsyncGenerator<ShippedEpoch, void, undefined> {
    for (const tableId of await this.tableIds(signal)) {
      for (const epoch of await this.epochs(tableId, signal)) {
        const pieces = await this.pieces(tableId, epoch, signal);
        if (pieces.length > 0) yield { tableId, epoch, pieces };
      }
    }
  }

  tableIds(signal?: AbortSignal): Promise<readonly number[]> {
    return this.numbers(LOGS_FOLDER, signal);
  }

  epochs(tableId: number, signal?: AbortSignal): Promise<readonly number[]> {
    return this.numbers(logTableFolder(tableId), signal);
  }

  /** In the order of their first revisions. */
  async pieces(tableId: number, epoch: number, signal?: AbortSignal): Promise<readonly LogPiece[]> {
    const pieces: LogPiece[] = [];
    for await (const object of this.objects.list(logEpochFolder(tableId, epoch), signal)) {
      const log = parseLogName(object.key);
      if (!log) continue;
      const { sizeBytes, modifiedAtMs } = object;
      pieces.push({ ...log, sizeBytes, modifiedAtMs });
      if (pieces.length > LOG_OBJECTS_MAX) {
        const text = `table ${tableId}: its log has more than ${LOG_OBJECTS_MAX} pieces`;
        throw new BackupError('LIMIT', text);
      }
    }
    return pieces;
  }

  /** Undefined if nothing tells it. */
  async table(tableId: number, signal?: AbortSignal): Promise<LogTable | undefined> {
    const name = tableInfoName(tableId);
    const bytes = await this.objects.read(name, LOG_TABLE_BYTES_MAX, signal);
    if (!bytes) return undefined;
    const table = decodeLogTable(bytes, name, this.keys);
    if (table.tableId === tableId) return table;
    throw new BackupError('BACKUP_DAMAGED', `${name}: it is of table ${table.tableId}`);
  }

  /** Throws if it is not there: what has no keys told cannot be opened. */
  async keyIds(tableId: number, signal?: AbortSignal): Promise<readonly string[]> {
    const table = await this.table(tableId, signal);
    if (table) return table.keyIds;
    throw new BackupError('BACKUP_DAMAGED', `${tableInfoName(tableId)}: it is missing`);
  }

  /** All entries of a piece, every one checked. */
  async entries(
    piece: LogPiece,
    keyIds: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly EntryRecord[]> {
    const bytes = await this.objects.need(piece.name, LOG_OBJECT_BYTES_MAX, signal);
    return openLog(piece, bytes, keyIds, this.keys);
  }

  /** Numbers that folders below another one are named by. A folder costs one look. */
  private async numbers(folder: string, signal?: AbortSignal): Promise<readonly number[]> {
    const numbers: number[] = [];
    for (let after: string | undefined; ;) {
      const name = await this.objects.firstAfter(folder, after, signal);
      if (name === undefined) break;
      const [part = '', ...below] = name.slice(folder.length).split('/');
      const isFolder = below.length > 0;
      if (isFolder && /^\d{1,16}$/.test(part) && Number.isSafeInteger(Number(part))) {
        numbers.push(Number(part));
      }
      // The character behind the slash: everything of this folder lies before it.
      after = isFolder ? `${folder}${part}0` : name;
    }
    return [...new Set(numbers)].sort((a, b) => a - b);
  }
}
