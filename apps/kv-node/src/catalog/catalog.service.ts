/**
 * The catalog: a Raft group of its own, on every node, that says which tables and nodes there are.
 *
 * In: conditional changes from any node, the group's applied entries. Out: `state`, which is brought
 * in line in the same tick as an entry is applied, and `onChange`. A change is proposed to the
 * group's leader, wherever that is, and is there to be seen on this node when the promise settles.
 */
import { TableStateMachine, type ApplyResult, type Engine } from '@flotilla/mvcc';
import { type CommittedEntry, type Group } from '@flotilla/raft';
import { type NodeRuntime } from '../node/node-runtime.js';
import { TableMachine } from '../node/table-machine.js';
import { CATALOG_GROUP, replaceCommand, touchedKeys } from './catalog-rows.js';
import { allRows } from './catalog-scan.js';
import { CatalogState, type CatalogChange } from './catalog-state.js';

/** How a conditional change ended. */
export interface CatalogOutcome {
  /** Which branch of the transaction was taken. */
  readonly succeeded: boolean;
  readonly index: number;
}

/** Proposes a command to the catalog's leader, which is another node. */
export type ProposeElsewhere = (command: Buffer, deadlineMs: number) => Promise<CatalogOutcome>;

export class Catalog {
  readonly state = new CatalogState();
  readonly group: Group<ApplyResult>;
  readonly machine: TableStateMachine;
  private readonly listeners = new Set<(changes: readonly CatalogChange[]) => void>();
  private proposeElsewhere: ProposeElsewhere | undefined;
  private version = 0;

  /** `founders` found the group where its log is empty; none if this node joins. */
  constructor(
    private readonly runtime: NodeRuntime,
    engine: Engine,
    founders: readonly number[],
  ) {
    this.machine = new TableStateMachine({ engine, tableId: CATALOG_GROUP });
    const machine = new TableMachine(this.machine, {
      applied: (entries) => this.follow(entries),
      installed: () => this.reload(),
    });
    this.group = runtime.host.startGroup(CATALOG_GROUP, machine, founders);
    if (this.machine.installedNote() !== undefined) this.machine.removeInactive();
    runtime.snapshots.add(CATALOG_GROUP, this.machine, this.group);
    this.reload();
  }

  /** Where changes go while this node does not lead the catalog. */
  useLeaderElsewhere(propose: ProposeElsewhere): void {
    this.proposeElsewhere = propose;
  }

  /** Called with what each applied batch changed, in the tick it was applied. */
  onChange(listener: (changes: readonly CatalogChange[]) => void): void {
    this.listeners.add(listener);
  }

  get appliedIndex(): number {
    return this.machine.state.appliedIndex;
  }

  /**
   * Another number whenever there are other tables, leases or sessions than before; the same on nodes
   * that have followed them by the log.
   */
  get replicasVersion(): number {
    return this.version;
  }

  /** Settles once `state` reflects every change that was acknowledged before. */
  barrier(deadlineMs: number): Promise<void> {
    return this.group.readBarrier(deadlineMs);
  }

  /**
   * Proposes a command; `state` reflects it when this settles. Rejects with HostError; with
   * `outcomeUnknown` it may still happen.
   */
  async propose(command: Buffer, deadlineMs: number): Promise<CatalogOutcome> {
    if (this.group.isLeader || !this.proposeElsewhere) {
      const { result, index } = await this.group.propose(command, deadlineMs);
      return { succeeded: result.succeeded, index };
    }
    const outcome = await this.proposeElsewhere(command, deadlineMs);
    await this.group.applied(outcome.index, deadlineMs);
    return outcome;
  }

  /** Sets a key if it still has the value `stored`; says whether it did. */
  async replace(
    key: Buffer,
    stored: Buffer | undefined,
    value: Buffer,
    deadlineMs: number,
  ): Promise<boolean> {
    const { command, doneBy } = replaceCommand(key, stored, value);
    return (await this.propose(command, deadlineMs)).succeeded === doneBy;
  }

  private follow(entries: readonly CommittedEntry[]): void {
    const keys = new Map<string, { readonly key: Buffer; readonly index: number }>();
    for (const { data, index } of entries) {
      if (data.length === 0) continue;
      for (const key of touchedKeys(data)) keys.set(key.toString('latin1'), { key, index });
    }
    const changes: CatalogChange[] = [];
    for (const { key, index } of keys.values()) {
      const change = this.state.set(key, this.machine.get(key)?.value);
      if (change) changes.push(change);
      if (change && isOfReplicas(change)) this.version = Math.max(this.version, index);
    }
    this.tell(changes);
  }

  /** Everything anew: at the start, and when a snapshot took the place of the state. */
  private reload(): void {
    const changes: CatalogChange[] = [];
    const seen = new Set<string>();
    const before = this.state.keys();
    for (const [key, value] of allRows(this.machine)) {
      seen.add(key.toString());
      const change = this.state.set(key, value);
      if (change) changes.push(change);
    }
    for (const key of before) {
      if (seen.has(key)) continue;
      const change = this.state.set(Buffer.from(key), undefined);
      if (change) changes.push(change);
    }
    this.version = this.appliedIndex;
    this.tell(changes);
  }

  private tell(changes: readonly CatalogChange[]): void {
    if (changes.length === 0) return;
    const told = changes.map((change) => this.withWhereabouts(change));
    for (const listener of this.listeners) listener(told);
  }

  /** A table that has taken its name over is gone from where it was filled, and from nowhere else. */
  private withWhereabouts(change: CatalogChange): CatalogChange {
    if (change.kind !== 'table' || !change.before || change.before.id === change.now?.id)
      return change;
    return this.state.tablesById.has(change.before.id) ? { ...change, goesOn: true } : change;
  }

  /** Deadline on the host's clock, `timeoutMs` from now. */
  deadline(timeoutMs: number): number {
    return this.runtime.deadline(timeoutMs);
  }
}

/** Whether gateways have to look at their tables again. */
function isOfReplicas(change: CatalogChange): boolean {
  if (change.kind === 'session') return !change.isSame;
  return change.kind === 'lease' || change.kind === 'table';
}
