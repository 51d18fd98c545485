/**
 * How a group stands on this node, for whoever looks from outside: copies only.
 */
import type { LogIndex, NodeId, RawNode, StateType, Term } from '../core/index.js';

export interface GroupStatus {
  readonly role: StateType;
  readonly term: Term;
  /** The leader of this term as far as this replica knows; 0 if it knows none. */
  readonly leader: NodeId;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
}

/** How far a member is, as its leader knows it. */
export interface MemberProgress {
  readonly match: LogIndex;
  readonly isLearner: boolean;
  /** Heard of lately. */
  readonly isActive: boolean;
}

export function groupStatus(node: RawNode, appliedIndex: LogIndex): GroupStatus {
  const { raft } = node;
  return {
    role: raft.state,
    term: raft.term,
    leader: raft.lead,
    commitIndex: raft.log.committed,
    appliedIndex,
    lastIndex: raft.log.lastIndex(),
  };
}

/** What the leader knows of each member; empty on any other replica. */
export function memberProgress(node: RawNode): ReadonlyMap<NodeId, MemberProgress> {
  const members = new Map<NodeId, MemberProgress>();
  if (!node.isLeader()) return members;
  node.raft.tracker.visit((id, { match, isLearner, recentActive }) => {
    members.set(id, { match, isLearner, isActive: recentActive });
  });
  return members;
}
