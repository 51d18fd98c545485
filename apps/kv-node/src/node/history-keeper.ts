/**
 * Keeps the history of tables from growing without end: versions that were superseded long ago go.
 *
 * Works in small steps and gives the loop back after each, so that nobody waits for it. What one
 * replica has removed already and another has not makes no difference to any answer: no read of the
 * API goes below the revisions that all of them keep.
 */
import { type TableStateMachine } from '@flotilla/mvcc';
import { type Cancel, type NodeClock } from './node-clock.js';

/** Revisions of a table whose history stays. */
export const HISTORY_REVISIONS_KEPT = 10_000;
/** A table is looked at again once it has this many more. */
const HISTORY_REVISIONS_SLACK = 1_000;
/**
 * Change rows removed in one step. Each holds the changes of a batch, and what lies under their keys is
 * passed over: a few hundred microseconds for single writes, at worst 2 MiB from disk.
 */
const STEP_ROWS_MAX = 32;
const CHECK_INTERVAL_MS = 1_000;

export class HistoryKeeper {
  private stopLooking: Cancel | undefined;
  private running: Promise<void> | undefined;
  private stopped = false;

  constructor(
    private readonly tables: () => Iterable<TableStateMachine>,
    private readonly onFatal: (error: unknown) => void,
    private readonly clock: NodeClock,
  ) {}

  start(): void {
    this.stopLooking = this.clock.every(CHECK_INTERVAL_MS, () => {
      this.running ??= this.compactAll()
        .catch(this.onFatal)
        .finally(() => (this.running = undefined));
    });
  }

  /** Ends after the step that is under way. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.stopLooking?.();
    await this.running;
  }

  private async compactAll(): Promise<void> {
    for (const table of [...this.tables()]) await this.compact(table);
  }

  private async compact(table: TableStateMachine): Promise<void> {
    const { revision, compactedRevision } = table.state;
    const target = revision - HISTORY_REVISIONS_KEPT;
    if (target - compactedRevision < HISTORY_REVISIONS_SLACK) return;
    for (let done = false; !done && !this.stopped && table.isOpen;) {
      // Numbering may have begun anew since: what is of before goes another time.
      if (table.state.revision < target) return;
      ({ done } = table.compact(target, { rowsMax: STEP_ROWS_MAX }));
      await this.clock.turn();
    }
  }
}
