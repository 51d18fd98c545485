/**
 * The protocol's vocabulary: entries, hard state, configurations, snapshots and messages.
 *
 * Everything here is plain data. Log indexes, terms and node ids are JavaScript numbers
 * (safe to 2^53). A value never changes after it was handed over: whoever keeps a message,
 * an entry or a payload may keep it without copying.
 */

/** Position in a group's log; the first entry of a fresh log has index 1, 0 means "none". */
export type LogIndex = number;
/** Election period; grows only. 0 means "none yet". */
export type Term = number;
/** Identity of a replica inside its group; never 0, never reused. */
export type NodeId = number;

/** "No node": no leader known, no vote given. */
export const NONE: NodeId = 0;
/** Pseudo target of messages for the local log writer (2^64-1 on the wire). */
export const LOCAL_APPEND_THREAD: NodeId = 2 ** 64 - 1;
/** Pseudo target of messages for the local state machine. Distinct from the append thread. */
export const LOCAL_APPLY_THREAD: NodeId = 2 ** 64 - 4096;

/** Kinds of log entries; the numbers are stored on disk. */
export const EntryType = {
  Normal: 0,
  ConfChange: 1,
  ConfChangeV2: 2,
} as const;
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

/** One log entry. `data` of a normal entry is opaque; an empty one marks a new leader's term. */
export interface Entry {
  readonly term: Term;
  readonly index: LogIndex;
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** What a replica must never forget: its term, its vote in that term, its commit index. */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId;
  readonly commit: LogIndex;
}

export const EMPTY_HARD_STATE: HardState = { term: 0, vote: NONE, commit: 0 };

/** Where a log ends, as elections compare it. */
export interface LogEnd {
  readonly index: LogIndex;
  readonly term: Term;
}

export const LOG_START: LogEnd = { index: 0, term: 0 };

/** Membership as the log has it. `votersOutgoing` is non-empty only in a joint configuration. */
export interface ConfState {
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  /** Outgoing voters that become learners when the joint configuration is left. */
  readonly learnersNext: readonly NodeId[];
  readonly autoLeave: boolean;
}

export interface SnapshotMetadata {
  readonly confState: ConfState;
  readonly index: LogIndex;
  readonly term: Term;
}

/** State of a group up to and including `metadata.index`; `data` belongs to the application. */
export interface Snapshot {
  readonly data: Uint8Array;
  readonly metadata: SnapshotMetadata;
}

/** The 24 message types; the numbers are those of raftpb. */
export const MessageType = {
  Hup: 0,
  Beat: 1,
  Prop: 2,
  App: 3,
  AppResp: 4,
  Vote: 5,
  VoteResp: 6,
  Snap: 7,
  Heartbeat: 8,
  HeartbeatResp: 9,
  Unreachable: 10,
  SnapStatus: 11,
  CheckQuorum: 12,
  TransferLeader: 13,
  TimeoutNow: 14,
  ReadIndex: 15,
  ReadIndexResp: 16,
  PreVote: 17,
  PreVoteResp: 18,
  StorageAppend: 19,
  StorageAppendResp: 20,
  StorageApply: 21,
  StorageApplyResp: 22,
  ForgetLeader: 23,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/**
 * One message between replicas, or between a replica and its local storage threads.
 * Which fields mean something depends on `type`; absent ones are 0, false or undefined.
 */
export interface Message {
  readonly type: MessageType;
  readonly to: NodeId;
  readonly from: NodeId;
  readonly term: Term;
  /** App: term of the entry before `entries`. Votes: term of the candidate's last entry. */
  readonly logTerm: Term;
  /** App: index of the entry before `entries`. AppResp: last accepted (or rejected) index. */
  readonly index: LogIndex;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
  /** StorageAppend only: the vote to persist, with `term` and `commit`. */
  readonly vote: NodeId;
  readonly snapshot: Snapshot | undefined;
  readonly reject: boolean;
  readonly rejectHint: LogIndex;
  /** Opaque bytes that come back in the answer: read requests, forced campaigns. */
  readonly context: Uint8Array | undefined;
  /** StorageAppend and StorageApply: to be delivered once the work is done. */
  readonly responses: readonly Message[];
}
