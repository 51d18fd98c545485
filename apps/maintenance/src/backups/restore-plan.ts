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
  readersOf,
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
}

export interface PlannedTable {
  readonly name: string;
  readonly as: string;
  readonly revision: number;
  readonly replacesTableId: number;
  readonly purpose: string;
  readonly replaceUnfinished: boolean;
  readonly isDrill: boolean;
  readonly readers: ReturnType<typeof readersOf>;
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
  const { isDrill = false } = wish;
  const names = wish.tables.length > 0 ? wish.tables : newest.tables.map(({ name }) => name);
  if (wish.as !== '' && (names.length !== 1 || wish.inPlace)) {
    throw new BackupError('INVALID', 'as: a name is for one table that is not restored in place');
  }
  const tables = names.map((name): PlannedTable => {
    const table = findTable(newest, name);
    const ending = isDrill ? DRILL_ENDING : RESTORED_ENDING;
    const as = wish.inPlace ? name : wish.as || `${name}${ending}`;
    const replaced = there.find((each) => each.name === as);
    if (replaced && !wish.inPlace) {
      throw new BackupError('INVALID', `as: there is a table ${as} already`);
    }
    return {
      name,
      as,
      revision: table.revision,
      replacesTableId: replaced?.tableId ?? 0,
      purpose: `${isDrill ? 'drill' : 'restore'}/${newest.id}/${table.tableId}`,
      isDrill,
      replaceUnfinished: wish.replaceUnfinished,
      readers: readersOf(chain, table, objects, keys),
    };
  });
  return { id: newest.id, tables };
}
