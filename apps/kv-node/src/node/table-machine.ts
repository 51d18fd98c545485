/**
 * Joins a table's state machine to its Raft group, and tells whoever wants to know what was applied.
 *
 * A snapshot's metadata travels with the staged rows as their note, so that after a crash the log
 * can be brought in line with the state (see `SnapshotSlots`).
 */
import { type ApplyResult, type TableStateMachine } from '@flotilla/mvcc';
import { type CommittedEntry, type SnapshotSlots, type StateMachine } from '@flotilla/raft';
import { decodeNote } from '../snapshots/snapshot-note.js';

export interface MachineListener {
  /** These entries are part of the state now. */
  applied?(entries: readonly CommittedEntry[]): void;
  /** Another state took the place of the one before. */
  installed?(): void;
}

export class TableMachine implements StateMachine<ApplyResult> {
  readonly slots: SnapshotSlots = {
    staged: () => decodeNote(this.table.stagedNote()),
    installed: () => decodeNote(this.table.installedNote()),
    install: () => {
      this.table.installStaged();
      this.listener.installed?.();
    },
  };

  constructor(
    readonly table: TableStateMachine,
    private readonly listener: MachineListener = {},
  ) {}

  get appliedIndex(): number {
    return this.table.state.appliedIndex;
  }

  apply(entries: readonly CommittedEntry[]): readonly ApplyResult[] {
    const results = this.table.apply(entries);
    this.listener.applied?.(entries);
    return results;
  }
}
