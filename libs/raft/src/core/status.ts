/**
 * A look at a replica from outside: copies only, nothing that changes with it.
 */
import type { Raft } from './raft.js';
import { StateType, type SoftState } from './ready.js';
import type { Progress } from './tracker/progress.js';
import type { TrackerConfig } from './tracker/tracker.js';
import type { ConfState, HardState, LogIndex, NodeId } from './types.js';

/** Cheap enough to be asked for often. */
export interface BasicStatus {
  readonly id: NodeId;
  readonly hardState: HardState;
  readonly softState: SoftState;
  readonly applied: LogIndex;
  readonly lastIndex: LogIndex;
  /** To whom leadership is being handed over; 0 if to nobody. */
  readonly leadTransferee: NodeId;
}

export interface Status extends BasicStatus {
  readonly config: TrackerConfig;
  readonly confState: ConfState;
  /** What each member is known to have, in the order of ids; empty unless this is the leader. */
  readonly progress: ReadonlyMap<NodeId, Progress>;
}

export function basicStatus(raft: Raft): BasicStatus {
  return {
    id: raft.id,
    hardState: raft.hardState(),
    softState: raft.softState(),
    applied: raft.log.applied,
    lastIndex: raft.log.lastIndex(),
    leadTransferee: raft.leadTransferee,
  };
}

export function status(raft: Raft): Status {
  const progress = new Map<NodeId, Progress>();
  if (raft.state === StateType.Leader) {
    raft.tracker.visit((id, each) => progress.set(id, each.clone()));
  }
  return {
    ...basicStatus(raft),
    config: raft.tracker.config.clone(),
    confState: raft.tracker.confState(),
    progress,
  };
}
