/**
 * Which tables there are, for one attached gateway: all of them first, then what changes.
 *
 * In: ids of tables that may have changed. Out: messages, when there is something to tell and the reader
 * has room. What changes while it is behind is gathered by id. A table is said to be gone only if it was
 * told before, and a node has said so.
 */
import { feedV1 } from '@flotilla/proto';
import { type KnownTable, type TableDirectory } from '../../nodes/table-directory.js';
import { VIEW_TABLES_MAX } from './link-limits.js';

export type ViewSource = Pick<TableDirectory, 'ids' | 'findById' | 'cluster'>;

export class TableView {
  private readonly due: Set<number>;
  private readonly told = new Map<number, KnownTable>();
  private hasBegun = false;
  private isWhole = false;

  constructor(private readonly source: ViewSource) {
    this.due = new Set(source.ids());
  }

  changed(ids: Iterable<number>): void {
    for (const id of ids) if (this.isNews(id)) this.due.add(id);
  }

  /** What is to be told next; undefined if that is nothing. */
  take(): feedV1.TablesChange | undefined {
    if (this.hasBegun && this.due.size === 0) return undefined;
    const begins = !this.hasBegun;
    this.hasBegun = true;
    const tables: feedV1.Table[] = [];
    const deletedTables: bigint[] = [];
    for (const id of this.due) {
      if (tables.length + deletedTables.length >= VIEW_TABLES_MAX) break;
      this.due.delete(id);
      const table = this.source.findById(id);
      if (table) tables.push(this.tell(table));
      else if (this.told.delete(id)) deletedTables.push(BigInt(id));
    }
    const more = !this.isWhole && this.due.size > 0;
    this.isWhole ||= !more;
    const cluster = this.source.cluster;
    return feedV1.TablesChange.fromPartial({
      begins,
      more,
      tables,
      deletedTables,
      clusterId: cluster?.id ?? '',
      generation: BigInt(cluster?.generation ?? 0),
    });
  }

  private tell(table: KnownTable): feedV1.Table {
    this.told.set(table.id, table);
    const { id, name, epoch, revision } = table;
    const numbers = { id: BigInt(id), epoch: BigInt(epoch), revision: BigInt(revision) };
    return { ...numbers, name, replicas: [], preferredLeader: 0n };
  }

  /** Where a table lies is no news to another cluster. */
  private isNews(id: number): boolean {
    const now = this.source.findById(id);
    const before = this.told.get(id);
    return now?.name !== before?.name || now?.epoch !== before?.epoch;
  }
}
