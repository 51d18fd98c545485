/**
 * Joins a table's state machine to its Raft group, and tells whoever wants to know what was applied.
 */
import { type ApplyResult, type TableStateMachine } from '@flotilla/mvcc';
import { type CommittedEntry, type StateMachine } from '@flotilla/raft';

export class TableMachine implements StateMachine<ApplyResult> {
  constructor(
    readonly table: TableStateMachine,
    private readonly afterApply: () => void = () => undefined,
  ) {}

  get appliedIndex(): number {
    return this.table.state.appliedIndex;
  }

  apply(entries: readonly CommittedEntry[]): readonly ApplyResult[] {
    const results = this.table.apply(entries);
    this.afterApply();
    return results;
  }
}
