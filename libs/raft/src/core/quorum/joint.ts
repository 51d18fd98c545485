/**
 * Two majorities that both have to agree, while a group moves from one configuration to another.
 *
 * In: the incoming and the outgoing set of voters. The outgoing one is empty outside a change.
 */
import type { LogIndex, NodeId } from '../types.js';
import {
  committedIndex,
  describeCommit,
  majorityToString,
  voteResult,
  type AckedIndex,
  type MajorityConfig,
  type VoteResult,
} from './majority.js';

/** Incoming voters, then outgoing ones. */
export type JointConfig = readonly [MajorityConfig, MajorityConfig];

export function jointCommittedIndex(config: JointConfig, acked: AckedIndex): LogIndex {
  const incoming = committedIndex(config[0], acked);
  // The scratch space of a majority is shared: one after the other.
  const outgoing = committedIndex(config[1], acked);
  return incoming < outgoing ? incoming : outgoing;
}

export function jointVoteResult(
  config: JointConfig,
  votes: ReadonlyMap<NodeId, boolean>,
): VoteResult {
  const incoming = voteResult(config[0], votes);
  const outgoing = voteResult(config[1], votes);
  if (incoming === outgoing) return incoming;
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
}

export function jointIds(config: JointConfig): ReadonlySet<NodeId> {
  return new Set([...config[0], ...config[1]]);
}

/** `(1 2 3)`, or `(1 2 3)&&(1 2)` in a change. */
export function jointToString(config: JointConfig): string {
  const outgoing = config[1].size > 0 ? `&&${majorityToString(config[1])}` : '';
  return majorityToString(config[0]) + outgoing;
}

export function describeJointCommit(config: JointConfig, acked: AckedIndex): string {
  return describeCommit(jointIds(config), acked);
}
