/**
 * What a restore is going to do, before it does anything.
 *
 * In: a chain of backups, a wish, the tables that the cluster has. Out: for each table where it is read
 * from and which name it takes, or an error that names what is in the way.
 */
import {
  BackupError,
  type BackupObjects,
  findTable,
  type KeyRing,
  type Manifest,
  readChain,
  readersOf,
  type RestoreParts,
  type SourceTable,
} from '@flotilla/backup';

export interface RestoreWish {
  /** Empty for the newest backup. */
  readonly id: string;
  /** Where no backup is named: the newest one that was finished by then; 0 for the newest of all. */
  readonly beforeMs: number;
  /** Empty for all of it. */
  readonly tables: readonly string[];
  readonly inPlace: boolean;
  /** Of the one table; empty for "<name>-restored". */
  readonly as: string;
  readonly replaceUnfinished: boolean;
  /** Only to see whether it can be done: nothing of it is ever seen. */
  readonly isDrill?: boolean;
  /** The one table as it was at this revision, from a backup and the log. */
  readonly atRevision?: number | undefined;
  /** Each table as it was at this time. */
  readonly atMs?: number | undefined;
}

export interface PlannedTable {
  readonly name: string;
  readonly as: string;
  readonly revision: number;
  /** Of the backup, where the log goes on from there; 0 if there is none. */
  readonly backupRevision: number;
  readonly storedBytes: number;
  /** How many it is read from. */
  readonly backups: number;
  readonly replacesTableId: number;
  readonly purpose: string;
  readonly replaceUnfinished: boolean;
  readonly isDrill: boolean;
  readonly sources: (signal: AbortSignal) => Pick<RestoreParts, 'rows' | 'entries'>;
}

export interface RestorePlan {
  readonly id: string;
  readonly tables: readonly PlannedTable[];
}

export const RESTORED_ENDING = '-restored';
export const DRILL_ENDING = '-restore-drill';

export function planRestore(
  chain: readonly Manifest[],
  wish: RestoreWish,
  there: readonly SourceTable[],
  objects: BackupObjects,
  keys: KeyRing,
): RestorePlan {
  const newest = chain.at(-1);
  if (!newest) throw new BackupError('BACKUP_NOT_FOUND', 'there is no such backup');
  const names = wish.tables.length > 0 ? wish.tables : newest.tables.map(({ name }) => name);
  checkNames(names, wish);
  const tables = names.map((name): PlannedTable => {
    const table = findTable(newest, name);
    const readers = readersOf(chain, table, objects, keys);
    return {
      ...target(name, wish, there),
      revision: table.revision,
      backupRevision: table.revision,
      storedBytes: readers.reduce((sum, each) => sum + each.table.storedBytes, 0),
      backups: readers.length,
      purpose: `${wish.isDrill === true ? 'drill' : 'restore'}/${newest.id}/${table.tableId}`,
      sources: (signal) => ({ rows: (afterKey) => readChain(readers, signal, afterKey) }),
    };
  });
  return { id: newest.id, tables };
}

export function checkNames(names: readonly string[], wish: RestoreWish): void {
  if (wish.as !== '' && (names.length !== 1 || wish.inPlace)) {
    throw new BackupError('INVALID', 'as: a name is for one table that is not restored in place');
  }
}

type Target = Pick<
  PlannedTable,
  'name' | 'as' | 'replacesTableId' | 'replaceUnfinished' | 'isDrill'
>;

/** Which name a table takes. Throws if that is not to be had. */
export function target(name: string, wish: RestoreWish, there: readonly SourceTable[]): Target {
  const { isDrill = false, replaceUnfinished } = wish;
  const ending = isDrill ? DRILL_ENDING : RESTORED_ENDING;
  const as = wish.inPlace ? name : wish.as || `${name}${ending}`;
  const replaced = there.find((each) => each.name === as);
  if (replaced && !wish.inPlace) {
    throw new BackupError('INVALID', `as: there is a table ${as} already`);
  }
  return { name, as, replacesTableId: replaced?.tableId ?? 0, replaceUnfinished, isDrill };
}
