/**
 * Brings committed entries of one group into its state machine, a portion at a time.
 *
 *   core --portion--> queue ... applyNext --> machine, members --> whoever waits for an entry
 *
 * In: the core's orders to apply. Out: results, in the order of the log. An entry that the state holds
 * already, because a snapshot brought it, is never applied again.
 */
import {
  EntryType,
  confChangeFromEntry,
  type ConfState,
  type Entry,
  type LogIndex,
  type Message,
  type RawNode,
} from '../core/index.js';
import type { GroupLog } from '../log-store/index.js';
import type { FormerMembers } from './former-members.js';
import type { GroupSink } from './hosted-group.js';
import type { CommittedEntry, GroupId, HostObserver, StateMachine } from './ports.js';
import type { Proposals } from './proposals.js';

const EMPTY = new Uint8Array(0);

export class Applier<Result> {
  private queue: Message[] = [];

  constructor(
    private readonly id: GroupId,
    private readonly node: RawNode,
    private readonly log: GroupLog,
    private readonly machine: StateMachine<Result>,
    private readonly proposals: Proposals<Result>,
    private readonly former: FormerMembers,
    private readonly observer: () => HostObserver | undefined,
  ) {}

  get hasWork(): boolean {
    return this.queue.length > 0;
  }

  get appliedIndex(): LogIndex {
    return this.machine.appliedIndex;
  }

  add(message: Message): void {
    this.queue.push(message);
  }

  clear(): void {
    this.queue = [];
  }

  /** Applies one portion, tells those who waited and the core; returns how many entries it had. */
  applyNext(sink: GroupSink): number {
    const message = this.queue.shift();
    if (!message) return 0;
    this.apply(this.notInState(message.entries), sink);
    for (const response of message.responses) this.node.step(response);
    return message.entries.length;
  }

  /** A snapshot may have brought entries that were on their way to be applied. */
  private notInState(entries: readonly Entry[]): readonly Entry[] {
    const { appliedIndex } = this.machine;
    const first = entries[0];
    if (first === undefined || first.index > appliedIndex) return entries;
    return entries.filter(({ index }) => index > appliedIndex);
  }

  private apply(entries: readonly Entry[], sink: GroupSink): void {
    const results = this.machine.apply(entries.map(asCommitted));
    this.observer()?.applied(this.id, entries, results);
    for (let at = 0; at < entries.length; at++) {
      const entry = entries[at];
      const result = results[at];
      if (entry === undefined || result === undefined) {
        throw new Error(
          `group ${this.id}: ${results.length} results for ${entries.length} entries`,
        );
      }
      // After a restart the stored configuration may be ahead of the state: it has these already.
      if (entry.type !== EntryType.Normal && entry.index > this.log.confStateIndex()) {
        sink.confChanged(this.id, entry.index, this.changeMembers(entry));
      }
      this.proposals.applied(entry.index, entry.term, result);
    }
  }

  private changeMembers(entry: Entry): ConfState {
    const { raft } = this.node;
    const before = [...raft.tracker.progress.keys()];
    const confState = this.node.applyConfChange(confChangeFromEntry(entry));
    if (this.node.isLeader()) {
      this.former.changed(raft.term, before, new Set(raft.tracker.progress.keys()));
    }
    return confState;
  }
}

/** An entry as a state machine sees it. */
export function asCommitted(entry: Entry): CommittedEntry {
  return { index: entry.index, data: entry.type === EntryType.Normal ? entry.data : EMPTY };
}
