/**
 * The replicas of tables that run on this node: their groups and their state machines.
 *
 *   catalog: this node belongs to the table's replica set --> group started
 *   not any more: moved away --> stopped, rows removed, its vote kept
 *                 deleted    --> stopped, rows and log removed
 *
 * After a restart the catalog here may be older than the replicas: what it does not place on this node
 * stays until it is known to be up to date (`catalogIsCurrent`), or a replica would lose what it has
 * acknowledged.
 *
 * What runs follows the catalog's log, never a timer. A group that could not be started, because the
 * log has too much to write, is started soon after.
 */
import {
  listTableIds,
  TableStateMachine,
  type ApplyResult,
  type Engine,
  type TableStateMachineOptions,
} from '@flotilla/mvcc';
import { type Group, HostError, HostErrorCode } from '@flotilla/raft';
import { FIRST_TABLE_ID } from '../catalog/catalog-rows.js';
import { type TableInfo } from '../catalog/catalog-state.js';
import { ChangeSignal } from '../feed/change-signal.js';
import { TableHeader } from '../kv/table-header.js';
import { type Cancel } from '../node/node-clock.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { TableMachine } from '../node/table-machine.js';

export interface RunningTable {
  readonly id: number;
  readonly name: string;
  readonly nameBytes: Buffer;
  readonly group: Group<ApplyResult>;
  readonly machine: TableStateMachine;
  readonly header: TableHeader;
  /** Raised when entries were applied, and when the replica stops. */
  readonly applied: ChangeSignal;
  /** It answers for its name once it has applied this entry; Infinity while it is filled out of sight. */
  completeAt: number;
}

/** What tables keep in memory. */
export type TableCaches = Pick<TableStateMachineOptions, 'cache' | 'rangeCache'>;

/** Told of the replicas that run here. */
export interface ReplicaListener {
  /** It has applied more, or another state took its place. */
  advanced(table: RunningTable): void;
  /** It does not run here any more. */
  gone(name: string): void;
}

/** Pause before a group is started again after the log had too much to write. */
const RETRY_MS = 100;

export class TableRegistry {
  private readonly byName = new Map<string, RunningTable>();
  private readonly byId = new Map<number, RunningTable>();
  private lastFound: RunningTable | undefined;
  /** State machines of tables that were stopped and are not destroyed yet. */
  private readonly retired = new Map<number, TableStateMachine>();
  private readonly waiting = new Map<number, TableInfo>();
  private readonly beingDestroyed = new Set<number>();
  /** Given up before, and surely without rows, whatever a power cut takes from the engine. */
  private readonly cleared = new Set<number>();
  private destroying: Promise<void> = Promise.resolve();
  private cancelRetry: Cancel | undefined;
  private stopped = false;
  private isCurrent = false;
  private listener: ReplicaListener | undefined;

  constructor(
    private readonly runtime: NodeRuntime,
    private readonly engine: Engine,
    private readonly onDestroyError: (error: unknown) => void,
    /** Shared by the tables; without them every read goes to the engine. */
    private readonly caches: TableCaches = {},
  ) {}

  /** Before any replica is started. */
  useListener(listener: ReplicaListener): void {
    this.listener = listener;
  }

  /** The replica here of the table with this name, as it stands in a request. */
  find(name: Uint8Array): RunningTable | undefined {
    // Requests for one table come in a row; comparing a few bytes is cheaper than to make a name of them.
    if (this.lastFound !== undefined && isSame(this.lastFound.nameBytes, name)) {
      return this.lastFound;
    }
    const text = Buffer.from(name.buffer, name.byteOffset, name.length).toString();
    const found = this.byName.get(text);
    if (found !== undefined) this.lastFound = found;
    return found;
  }

  get(id: number): RunningTable | undefined {
    return this.byId.get(id);
  }

  /** Those included that are filled out of sight. */
  all(): Iterable<RunningTable> {
    return this.byId.values();
  }

  /** Those that names stand for. */
  named(): Iterable<RunningTable> {
    return this.byName.values();
  }

  get size(): number {
    return this.byId.size;
  }

  /** Brings what runs here in line with a table's row as it is now. */
  follow(before: TableInfo | undefined, now: TableInfo | undefined): void {
    if (this.stopped) return;
    const self = this.runtime.host.nodeId;
    if (before && before.id !== now?.id) this.drop(before.id, false);
    if (!now) return;
    if (now.replicas.includes(self) || now.movingFrom.includes(self)) this.start(now);
    else if (this.isCurrent) this.drop(now.id, true);
  }

  /**
   * The catalog here reflects everything that was acknowledged before this process began: replicas
   * that it does not place here moved away.
   */
  catalogIsCurrent(tables: ReadonlyMap<number, TableInfo>): void {
    this.isCurrent = true;
    const self = this.runtime.host.nodeId;
    for (const { id, replicas, movingFrom } of tables.values()) {
      if (!replicas.includes(self) && !movingFrom.includes(self)) this.drop(id, true);
    }
  }

  /** The table was deleted: nothing of it stays here. */
  deleted(id: number): void {
    this.drop(id, false);
  }

  /** Rows of tables that have no log here: their removal was cut short. */
  removeLeftovers(): void {
    for (const id of listTableIds(this.engine)) {
      if (id < FIRST_TABLE_ID || this.byId.has(id)) continue;
      if (this.runtime.hasLogOf(id) && !this.runtime.isTombstone(id)) continue;
      new TableStateMachine({ engine: this.engine, tableId: id }).destroy();
    }
  }

  /** Nothing is started or destroyed from now on; what is being destroyed is waited for. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelRetry?.();
    await this.destroying;
  }

  /** Settles once everything that was to be destroyed so far is gone. */
  settled(): Promise<void> {
    return this.destroying;
  }

  private start(info: TableInfo): void {
    const running = this.byId.get(info.id);
    if (running) return this.name(running, info);
    // Rows of its former life may still be there, or come back with a power cut when its log has
    // begun anew and does not reach them: it begins once they are gone for good.
    if (this.beingDestroyed.has(info.id) || this.mayHaveOldRows(info.id)) {
      this.waiting.set(info.id, info);
      this.beginToDestroy(info.id, true);
      return;
    }
    try {
      this.startNow(info);
      this.waiting.delete(info.id);
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== HostErrorCode.Busy) throw error;
      this.waiting.set(info.id, info);
      this.retrySoon();
    }
  }

  /** From here on the table answers for its name, or for none. */
  private name(table: RunningTable, { name, shadow, completeAt }: TableInfo): void {
    table.completeAt = shadow ? Infinity : completeAt;
    if (shadow || this.byName.get(name) === table) return;
    this.byName.set(name, table);
    this.lastFound = undefined;
  }

  private startNow(info: TableInfo): void {
    const { id, name, founders, preferredLeader } = info;
    const machine = new TableStateMachine({ engine: this.engine, tableId: id, ...this.caches });
    const self = this.runtime.host.nodeId;
    const peers = founders.includes(self) ? founders : [];
    const applied = new ChangeSignal();
    const advanced = (): void => {
      applied.raise();
      this.advanced(id);
    };
    const listened = new TableMachine(machine, { applied: advanced, installed: advanced });
    const group = this.runtime.host.startGroup(id, listened, peers);
    // A crash may have left what it was before its last snapshot, or half of one.
    if (machine.installedNote() !== undefined) machine.removeInactive();
    this.runtime.snapshots.add(id, machine, group);
    const header = new TableHeader(group, id, self);
    const nameBytes = Buffer.from(name);
    const table = { id, name, nameBytes, group, machine, header, applied, completeAt: Infinity };
    this.cleared.delete(id);
    this.byId.set(id, table);
    this.name(table, info);
    if (preferredLeader === self && peers.length > 1) group.campaignSoon(1);
  }

  private advanced(id: number): void {
    const table = this.byId.get(id);
    if (table && table.completeAt !== Infinity) this.listener?.advanced(table);
  }

  private retrySoon(): void {
    this.cancelRetry?.();
    this.cancelRetry = this.runtime.clock.after(RETRY_MS, () => {
      for (const info of [...this.waiting.values()]) this.start(info);
    });
  }

  /** Stops the replica here, if any, and removes what it left on disk. */
  private drop(id: number, keepVote: boolean): void {
    this.waiting.delete(id);
    const table = this.byId.get(id);
    if (table) {
      this.byId.delete(id);
      if (this.byName.get(table.name) === table) this.byName.delete(table.name);
      if (this.lastFound === table) this.lastFound = undefined;
      this.retired.set(id, table.machine);
      this.runtime.snapshots.remove(id);
      this.runtime.host.stopGroup(id);
      table.applied.raise();
      this.listener?.gone(table.name);
    } else if (!this.runtime.hasLogOf(id)) return;
    if (keepVote && !table && this.runtime.isTombstone(id)) return;
    this.beginToDestroy(id, keepVote);
  }

  private mayHaveOldRows(id: number): boolean {
    return this.runtime.isTombstone(id) && !this.cleared.has(id);
  }

  private beginToDestroy(id: number, keepVote: boolean): void {
    if (this.beingDestroyed.has(id)) return;
    this.beingDestroyed.add(id);
    this.destroying = this.destroying
      .then(() => this.destroy(id, keepVote))
      // What failed is tried again when the replica is to come back, or at the next start.
      .catch(this.onDestroyError)
      .finally(() => {
        this.beingDestroyed.delete(id);
        const waiting = this.waiting.get(id);
        if (!waiting || this.stopped) return;
        if (this.mayHaveOldRows(id)) this.retrySoon();
        else this.start(waiting);
      });
  }

  /**
   * The log first, down to the vote that marks that it was given up; then the rows, on disk too; and
   * the mark of a deleted table last, when a catalog that says so is on disk with them. However a crash
   * falls between them, what is left is known for what it is (`start`, `removeLeftovers`), and a
   * catalog of before the deletion does not found the table once more.
   */
  private async destroy(id: number, keepVote: boolean): Promise<void> {
    if (this.stopped) return;
    const { host } = this.runtime;
    await host.forgetGroup(id, { keepVote: true });
    const machine = this.retired.get(id);
    // The same object as before, so that whoever still holds it sees that the table is gone.
    (machine ?? new TableStateMachine({ engine: this.engine, tableId: id })).destroy();
    this.retired.delete(id);
    await this.engine.sync();
    if (keepVote) this.cleared.add(id);
    else await host.forgetGroup(id);
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return false;
  return true;
}
