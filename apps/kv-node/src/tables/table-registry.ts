/**
 * The tables that run on this node: their groups, their state machines, and how to find one by name.
 *
 *   catalog rows --reconcile--> started / stopped groups
 *   a deleted table: stopped, its rows and its log removed, then its note in the catalog
 *
 * Reconciling follows the catalog's log, never a timer. A name that is not here is not served.
 */
import { TableStateMachine, type ApplyResult, type Engine } from '@flotilla/mvcc';
import { type Group } from '@flotilla/raft';
import { type TableRow } from '../catalog/catalog-rows.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { TableMachine } from '../node/table-machine.js';

export interface RunningTable {
  readonly id: number;
  readonly name: string;
  readonly group: Group<ApplyResult>;
  readonly machine: TableStateMachine;
}

export class TableRegistry {
  private readonly byName = new Map<string, RunningTable>();
  private readonly byId = new Map<number, RunningTable>();
  /** State machines of tables that were stopped and are not destroyed yet. */
  private readonly retired = new Map<number, TableStateMachine>();

  constructor(
    private readonly runtime: NodeRuntime,
    private readonly engine: Engine,
    private readonly peers: readonly number[],
  ) {}

  /** The table with this name, as it stands in a request. */
  find(name: Uint8Array): RunningTable | undefined {
    return this.byName.get(Buffer.from(name.buffer, name.byteOffset, name.length).toString());
  }

  all(): Iterable<RunningTable> {
    return this.byId.values();
  }

  /** Starts and stops tables until exactly those of `rows` run. Returns those it stopped. */
  reconcile(rows: readonly TableRow[]): readonly RunningTable[] {
    const wanted = new Set(rows.map((row) => Number(row.id)));
    const stopped = [...this.byId.values()].filter((table) => !wanted.has(table.id));
    for (const table of stopped) this.stop(table);
    for (const row of rows) if (!this.byId.has(Number(row.id))) this.start(row);
    return stopped;
  }

  /** Removes all rows and the log of a table that does not run. */
  async destroy(id: number): Promise<void> {
    if (this.byId.has(id)) throw new Error(`table ${id} still runs`);
    const machine = this.retired.get(id);
    // The same object as before, so that whoever still holds it sees that the table is gone.
    (machine ?? new TableStateMachine({ engine: this.engine, tableId: id })).destroy();
    this.retired.delete(id);
    await this.runtime.host.forgetGroup(id);
  }

  private start(row: TableRow): void {
    const id = Number(row.id);
    const machine = new TableStateMachine({ engine: this.engine, tableId: id });
    const group = this.runtime.host.startGroup(id, new TableMachine(machine), this.peers);
    const table = { id, name: row.name, group, machine };
    this.byId.set(id, table);
    this.byName.set(row.name, table);
  }

  private stop(table: RunningTable): void {
    this.byId.delete(table.id);
    if (this.byName.get(table.name) === table) this.byName.delete(table.name);
    this.retired.set(table.id, table.machine);
    this.runtime.host.stopGroup(table.id);
  }
}
