/**
 * When a group may stop its clock, and when it starts it again.
 *
 *   leader:    awake --no work for a while, all that live have everything--> tell them --> asleep
 *   follower:  awake --the leader said so, and the logs are the same--> asleep
 *   both:      asleep --any message, proposal or read; a node comes or goes--> awake
 *
 * Nothing of the protocol depends on it: a follower that did not hear keeps its clock, starts an
 * election in time, and that wakes everybody. Pure: looks at the core, changes nothing.
 */
import type { NodeId } from '../core/index.js';
import type { RawNode } from '../core/index.js';
import type { LogIndex, Term } from '../core/types.js';

/** Whom a leader that may go to sleep has to tell; undefined while it has something left to do. */
export function whomToTell(
  node: RawNode,
  appliedIndex: LogIndex,
  isAlive: (id: NodeId) => boolean,
): readonly NodeId[] | undefined {
  const { raft } = node;
  const last = raft.log.lastIndex();
  if (!node.isLeader() || raft.log.committed !== last || appliedIndex !== last) return undefined;
  if (raft.leadTransferee !== 0 || raft.tracker.config.voters[1].size > 0) return undefined;
  const living: NodeId[] = [];
  let ready = true;
  raft.tracker.visit((id, progress) => {
    // A node that is away is brought up to date when it comes back, which wakes the group.
    if (id === raft.id || !isAlive(id)) return;
    if (progress.match !== last || progress.state !== 'StateReplicate') ready = false;
    living.push(id);
  });
  return ready ? living : undefined;
}

/** Whether a follower that is told to sleep has everything its leader has. */
export function mayFollowToSleep(
  node: RawNode,
  from: NodeId,
  term: Term,
  index: LogIndex,
): boolean {
  const { raft } = node;
  return (
    raft.term === term &&
    raft.lead === from &&
    raft.log.lastIndex() === index &&
    raft.log.committed === index
  );
}
