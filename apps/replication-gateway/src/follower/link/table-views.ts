/**
 * Which tables the leader cluster has, from what it pushes, and which ones are certainly gone.
 *
 *   begins --more--> gathering --complete--> told --changes--> told
 *
 * Gone is what was said to be deleted. Gone is also what this gateway heard the same cluster name
 * before, if a complete view lacks it and names a table that is younger: ids grow and are never
 * used again, so such a view is not from before the missing table was made. Anything else that is
 * missing is not gone: least of all what an empty view lacks. Pure.
 */
import { type feedV1 } from '@flotilla/proto';
import { type CopySource, type LeaderTables } from '../ports.js';

/** Deleted tables that are remembered; those deleted first are forgotten. */
const DELETED_MAX = 100_000;

interface Named {
  readonly name: string;
  readonly epoch: number;
}

/** The stream does not say what it must. */
export class ViewGarbledError extends Error {
  override readonly name = 'ViewGarbledError';
}

export class TableViews {
  private clusterId = '';
  /** Of the stream that is being read. */
  private tables: Map<number, Named> | undefined;
  /** Heard of this cluster, and not known to be gone. */
  private readonly named = new Set<number>();
  private readonly deleted = new Set<number>();

  /** A stream of this cluster begins. */
  begin(clusterId: string): void {
    this.tables = undefined;
    // Without a name it might be any: nothing that was heard before says anything of it.
    if (clusterId !== '' && clusterId === this.clusterId) return;
    this.clusterId = clusterId;
    this.named.clear();
    this.deleted.clear();
  }

  /** The tables there are now; undefined while the first view is not complete. */
  take(change: feedV1.TablesChange): LeaderTables | undefined {
    if (change.begins) this.tables = new Map();
    const { tables } = this;
    if (!tables) throw new ViewGarbledError('tables change before all of them were told');
    for (const id of change.deletedTables) {
      tables.delete(Number(id));
      this.isGone(Number(id));
    }
    for (const { id, name, epoch } of change.tables) {
      tables.set(Number(id), { name, epoch: Number(epoch) });
    }
    return change.more ? undefined : this.complete(tables);
  }

  private complete(tables: ReadonlyMap<number, Named>): LeaderTables {
    let youngest = 0;
    for (const id of tables.keys()) {
      youngest = Math.max(youngest, id);
      this.named.add(id);
      // A leader cluster that was set back has it again: from here on nothing says that it is gone.
      this.deleted.delete(id);
    }
    for (const id of this.named) if (!tables.has(id) && id < youngest) this.isGone(id);
    const { deleted } = this;
    return {
      sources: sourcesOf(tables),
      isPushed: true,
      isDeleted: ({ tableId }) => deleted.has(tableId),
    };
  }

  private isGone(id: number): void {
    this.named.delete(id);
    this.deleted.add(id);
    const [first] = this.deleted;
    if (this.deleted.size > DELETED_MAX && first !== undefined) this.deleted.delete(first);
  }
}

/** By name; while a table takes the name of another one both may be told, and the younger counts. */
function sourcesOf(tables: ReadonlyMap<number, Named>): ReadonlyMap<string, CopySource> {
  const sources = new Map<string, CopySource>();
  for (const [tableId, { name, epoch }] of tables) {
    const other = sources.get(name);
    if (!other || other.tableId < tableId) sources.set(name, { tableId, epoch });
  }
  return sources;
}
