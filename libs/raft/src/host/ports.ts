/**
 * What the host needs from outside: a clock and the end of a loop turn, a way to peers, and the
 * state machines that committed entries are applied to. All of them are ports, so that a whole
 * cluster runs in one process under a seed.
 */
import type { Entry, LogIndex, Message, NodeId, SnapshotMetadata, Term } from '../core/types.js';

/** Number of a Raft group on a node; its log and its messages carry it. */
export type GroupId = number;

export interface Scheduler {
  /** Milliseconds of a clock that never goes back; only differences have a meaning. */
  nowMs(): number;
  /** Calls `task` once the inputs of this turn of the loop have been taken. */
  defer(task: () => void): void;
}

/** Hands messages to other nodes; may lose, delay and reorder them, never change them. */
export interface PeerSender {
  send(group: GroupId, message: Message): void;
  /** Tells a follower that the leader's log ends at `index`, all committed, and its clock stops. */
  quiesce(to: NodeId, group: GroupId, term: Term, index: LogIndex): void;
}

/** Gets the state a replica lacks; see `Host.installSnapshot`. */
export interface SnapshotFetcher {
  /** `from` announced a snapshot of a group; asked again while nothing has come of it. */
  wanted(group: GroupId, from: NodeId, metadata: SnapshotMetadata): void;
}

/** A committed entry as a state machine sees it; `data` is empty when it only moves the index. */
export interface CommittedEntry {
  readonly index: LogIndex;
  readonly data: Uint8Array;
}

/** A committed entry as others are told it. */
export interface ToldEntry extends CommittedEntry {
  readonly term: Term;
}

/** The deterministic part of a group: the same entries give the same state on every replica. */
export interface StateMachine<Result> {
  /** Index of the last entry in the state, as of the last start or apply; never goes back. */
  readonly appliedIndex: LogIndex;
  /**
   * Applies entries, which follow one another and come after `appliedIndex`, as one atomic step
   * together with the applied index. Returns one result per entry. Must not fail: an error is a
   * broken invariant and stops the node.
   */
  apply(entries: readonly CommittedEntry[]): readonly Result[];
  /** What makes the machine able to take a whole state over; without it a snapshot is refused. */
  readonly slots?: SnapshotSlots;
}

/**
 * Two places for a state: the one in use, and one that a snapshot is gathered in. What is said of
 * them survives a crash as far as the engine was synced.
 */
export interface SnapshotSlots {
  /** The snapshot that lies ready, whole and durable; undefined if there is none. */
  staged(): SnapshotMetadata | undefined;
  /** The snapshot the state in use began as; undefined if it began empty. */
  installed(): SnapshotMetadata | undefined;
  /** Makes the staged state the one in use, in one step. Its index becomes `appliedIndex`. */
  install(): void;
}

/** Told what becomes of groups, after it has; for simulations that judge a host by it. */
export interface HostObserver {
  applied(group: GroupId, entries: readonly Entry[], results: readonly unknown[]): void;
}

/** How a proposal ended, told exactly once. */
export interface ProposalOutcome<Result> {
  readonly result: Result;
  readonly index: LogIndex;
  readonly term: Term;
}
