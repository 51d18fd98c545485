/**
 * What a replica wants done, as one batch: write, then send, then apply.
 *
 * Made by `RawNode.ready()` from the protocol state; pure data, consumed by the driver. Nothing
 * here changes after it was handed out.
 */
import {
  MessageType,
  NONE,
  type Entry,
  type HardState,
  type LogIndex,
  type Message,
  type NodeId,
  type Snapshot,
  type Term,
} from './types.js';

/** The four roles (a learner is a follower that has no vote). */
export const StateType = {
  Follower: 'StateFollower',
  Candidate: 'StateCandidate',
  Leader: 'StateLeader',
  PreCandidate: 'StatePreCandidate',
} as const;
export type StateType = (typeof StateType)[keyof typeof StateType];

/** What is useful to know but need not be stored. */
export interface SoftState {
  /** The leader of the current term; 0 while there is none. */
  readonly lead: NodeId;
  readonly state: StateType;
}

/** Answer to `readIndex`: once `index` is applied, a local read is linearizable. */
export interface ReadState {
  readonly index: LogIndex;
  /** The bytes that were given to `readIndex`. */
  readonly requestContext: Uint8Array;
}

export interface Ready {
  /** Role and leader, only when one of them changed. */
  readonly softState: SoftState | undefined;
  /** To be stored before `messages` are sent; only when it changed. */
  readonly hardState: HardState | undefined;
  readonly readStates: readonly ReadState[];
  /** To be stored before `messages` are sent; they replace whatever lies at their indexes. */
  readonly entries: readonly Entry[];
  /** To be stored and made the state of the group, before `committedEntries`. */
  readonly snapshot: Snapshot | undefined;
  /** To be applied to the state machine, in order. */
  readonly committedEntries: readonly Entry[];
  /**
   * Synchronous mode: to be sent once entries, hard state and snapshot are stored. Asynchronous
   * mode: to be sent at once, the local ones (to the append and apply threads) included.
   */
  readonly messages: readonly Message[];
  /** True if the write must reach the disk: entries, a new term or a new vote. */
  readonly mustSync: boolean;
}

/** True for a write that may not be lost: a commit index alone can be learnt again. */
export function mustSync(
  current: HardState,
  previousTerm: Term,
  previousVote: NodeId,
  entryCount: number,
): boolean {
  return entryCount !== 0 || current.vote !== previousVote || current.term !== previousTerm;
}

export function isEmptyHardState(state: HardState): boolean {
  return state.term === 0 && state.vote === NONE && state.commit === 0;
}

export function hardStatesEqual(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}

const LOCAL_TYPES: ReadonlySet<MessageType> = new Set<MessageType>([
  MessageType.Hup,
  MessageType.Beat,
  MessageType.Unreachable,
  MessageType.SnapStatus,
  MessageType.CheckQuorum,
  MessageType.StorageAppend,
  MessageType.StorageAppendResp,
  MessageType.StorageApply,
  MessageType.StorageApplyResp,
]);

const RESPONSE_TYPES: ReadonlySet<MessageType> = new Set<MessageType>([
  MessageType.AppResp,
  MessageType.VoteResp,
  MessageType.HeartbeatResp,
  MessageType.Unreachable,
  MessageType.ReadIndexResp,
  MessageType.PreVoteResp,
  MessageType.StorageAppendResp,
  MessageType.StorageApplyResp,
]);

/** Messages that never travel between replicas. */
export function isLocalMessage(type: MessageType): boolean {
  return LOCAL_TYPES.has(type);
}

export function isResponseMessage(type: MessageType): boolean {
  return RESPONSE_TYPES.has(type);
}
