/**
 * Which tables there are, and the changes of that.
 *
 * In: create and delete from the API; the catalog group's applied entries. Out: the rows, and the
 * registry brought in line with them each time they change. A change is a compare and a write in one
 * entry; whoever loses the race reads again and tries again, within its deadline.
 */
import { TableStateMachine, type ApplyResult, type Engine } from '@flotilla/mvcc';
import { HostError, HostErrorCode, type Group } from '@flotilla/raft';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { TableMachine } from '../node/table-machine.js';
import { type RunningTable, type TableRegistry } from '../tables/table-registry.js';
import {
  CATALOG_GROUP,
  DELETING_PREFIX,
  SEQUENCE_KEY,
  TABLE_PREFIX,
  createCommand,
  decodeRow,
  deleteCommand,
  finishDeletionCommand,
  newRow,
  nextTableId,
  prefixEnd,
  tableKey,
  type TableRow,
} from './catalog-rows.js';

/** How often a lost race is tried again before the caller is told to come back. */
const ATTEMPTS_MAX = 32;
/** Pause before groups are started again after the log had too much to write. */
const RETRY_MS = 100;

export type CreateOutcome =
  | { readonly kind: 'created'; readonly table: RunningTable }
  | { readonly kind: 'exists' }
  | { readonly kind: 'contended' };

export type DeleteOutcome =
  { readonly kind: 'deleted' } | { readonly kind: 'missing' } | { readonly kind: 'contended' };

export class Catalog {
  private readonly machine: TableStateMachine;
  private readonly group: Group<ApplyResult>;
  private cleaning: Promise<void> = Promise.resolve();
  private readonly beingDestroyed = new Set<number>();
  private stopped = false;
  private retry: NodeJS.Timeout | undefined;

  constructor(
    private readonly runtime: NodeRuntime,
    engine: Engine,
    private readonly registry: TableRegistry,
    peers: readonly number[],
    private readonly onCleaningError: (error: unknown) => void,
  ) {
    this.machine = new TableStateMachine({ engine, tableId: CATALOG_GROUP });
    const machine = new TableMachine(this.machine, () => this.follow());
    this.group = runtime.host.startGroup(CATALOG_GROUP, machine, peers);
  }

  /** Settles once the catalog has a leader, all its tables run, and they can be used. */
  async start(timeoutMs: number): Promise<void> {
    const deadlineMs = this.runtime.deadline(timeoutMs);
    await this.group.readBarrier(deadlineMs);
    this.follow();
    await Promise.all([...this.registry.all()].map((table) => table.group.readBarrier(deadlineMs)));
  }

  /** No more cleaning begins; what runs is waited for. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.retry);
    await this.cleaning;
  }

  /** Rows of the tables that are served, by name. */
  list(): TableRow[] {
    return this.rows(TABLE_PREFIX);
  }

  /** State of the catalog's own group, for status and log upkeep. */
  get table(): { readonly group: Group<ApplyResult>; readonly machine: TableStateMachine } {
    return { group: this.group, machine: this.machine };
  }

  /** The table can be written when this settles. Rejects with HostError. */
  async create(name: string): Promise<CreateOutcome> {
    const deadlineMs = this.runtime.deadline(OPERATION_TIMEOUT_MS);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await this.group.readBarrier(deadlineMs);
      if (this.machine.get(tableKey(name))) return { kind: 'exists' };
      const sequence = this.machine.get(SEQUENCE_KEY)?.value;
      const row = newRow(name, nextTableId(sequence));
      const { command, createdBy } = createCommand(row, sequence);
      const { result } = await this.group.propose(command, deadlineMs);
      if (result.succeeded === createdBy) return this.running(row, deadlineMs);
    }
    return { kind: 'contended' };
  }

  /** The table is not served any more when this settles; its data goes in the background. */
  async delete(name: string): Promise<DeleteOutcome> {
    const deadlineMs = this.runtime.deadline(OPERATION_TIMEOUT_MS);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await this.group.readBarrier(deadlineMs);
      const stored = this.machine.get(tableKey(name));
      if (!stored) return { kind: 'missing' };
      const { result } = await this.group.propose(deleteCommand(stored.value), deadlineMs);
      if (result.succeeded) return { kind: 'deleted' };
    }
    return { kind: 'contended' };
  }

  private async running(row: TableRow, deadlineMs: number): Promise<CreateOutcome> {
    const table = this.registry.find(Buffer.from(row.name));
    // Somebody deleted it in the moment between: for this caller it was created all the same, but
    // there is nothing to answer with.
    if (!table || table.id !== Number(row.id)) return { kind: 'contended' };
    await table.group.readBarrier(deadlineMs);
    return { kind: 'created', table };
  }

  /** Brings the registry in line with the applied rows, and has deleted tables cleaned away. */
  private follow(): void {
    if (this.stopped || !this.reconcile()) return;
    for (const row of this.rows(DELETING_PREFIX)) this.clean(Number(row.id));
  }

  /** False when the log has too much to write to start another group: tried again soon. */
  private reconcile(): boolean {
    try {
      this.registry.reconcile(this.list());
      return true;
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== HostErrorCode.Busy) throw error;
      clearTimeout(this.retry);
      this.retry = setTimeout(() => this.follow(), RETRY_MS);
      return false;
    }
  }

  private clean(id: number): void {
    if (this.beingDestroyed.has(id)) return;
    this.beingDestroyed.add(id);
    this.cleaning = this.cleaning
      .then(() => this.destroy(id))
      .catch(this.onCleaningError)
      // What failed is tried again at the next change, or the next start.
      .finally(() => this.beingDestroyed.delete(id));
  }

  private async destroy(id: number): Promise<void> {
    if (this.stopped) return;
    await this.registry.destroy(id);
    // A node that is not the leader leaves the note to the one that is.
    if (this.group.isLeader) {
      const deadlineMs = this.runtime.deadline(OPERATION_TIMEOUT_MS);
      await this.group.propose(finishDeletionCommand(BigInt(id)), deadlineMs);
    }
  }

  private rows(prefix: Buffer): TableRow[] {
    const pages = this.machine.iterate({ key: prefix, rangeEnd: prefixEnd(prefix) });
    const rows: TableRow[] = [];
    for (let page = pages.next(); page; page = pages.next()) {
      for (const { value } of page.kvs) rows.push(decodeRow(value));
      if (!page.more) break;
    }
    pages.close();
    return rows;
  }
}
