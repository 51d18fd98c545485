/**
 * What a replica does with the messages of its leader: appends, heartbeats, snapshots.
 *
 * Comes in: a message of the current term from the leader. Goes out: changes of the log and an
 * answer, which waits for them to be stored. Whether the sender is the leader was decided before.
 */
import { restore } from './confchange/restore.js';
import { panic } from './errors.js';
import { hex } from './logger.js';
import { assertSameConfState, switchToConfig } from './membership.js';
import { newMessage } from './message.js';
import type { Raft } from './raft.js';
import { StateType } from './ready.js';
import {
  MessageType,
  NONE,
  type LogIndex,
  type Message,
  type NodeId,
  type Snapshot,
} from './types.js';

export function handleAppend(raft: Raft, message: Message): void {
  const { log } = raft;
  if (message.index < log.committed) {
    // An old message: what it carries is committed here, so the leader may go on from there.
    acknowledge(raft, message.from, log.committed);
    return;
  }
  const last = log.maybeAppend(message.index, message.logTerm, message.entries, message.commit);
  if (last !== undefined) {
    acknowledge(raft, message.from, last);
    return;
  }
  raft.logger.debug(
    () =>
      `${hex(raft.id)} [logterm: ${log.termOrZero(message.index)}, index: ${message.index}] ` +
      `rejected MsgApp [logterm: ${message.logTerm}, index: ${message.index}] ` +
      `from ${hex(message.from)}`,
  );
  // The hint lets the leader skip all entries that cannot agree, instead of one a round trip.
  const hint = log.findConflictByTerm(Math.min(message.index, log.lastIndex()), message.logTerm);
  const answer = newMessage(MessageType.AppResp, message.from);
  answer.index = message.index;
  answer.reject = true;
  answer.rejectHint = hint.index;
  answer.logTerm = hint.term;
  raft.send(answer);
}

function acknowledge(raft: Raft, leader: NodeId, index: LogIndex): void {
  const answer = newMessage(MessageType.AppResp, leader);
  answer.index = index;
  raft.send(answer);
}

export function handleHeartbeat(raft: Raft, message: Message): void {
  raft.log.commitTo(message.commit);
  const answer = newMessage(MessageType.HeartbeatResp, message.from);
  answer.context = message.context;
  raft.send(answer);
}

export function handleSnapshot(raft: Raft, message: Message): void {
  const { logger, log } = raft;
  const { snapshot } = message;
  if (snapshot === undefined) panic(logger, 'a snapshot message without a snapshot');
  const restored = restoreSnapshot(raft, snapshot);
  const { index, term } = snapshot.metadata;
  logger.info(
    () =>
      `${hex(raft.id)} [commit: ${log.committed}] ${restored ? 'restored' : 'ignored'} ` +
      `snapshot [index: ${index}, term: ${term}]`,
  );
  acknowledge(raft, message.from, restored ? log.lastIndex() : log.committed);
}

/** Makes the snapshot the log and the configuration. False if there is nothing to do. */
function restoreSnapshot(raft: Raft, snapshot: Snapshot): boolean {
  const { logger, log } = raft;
  const { index, term, confState } = snapshot.metadata;
  if (index <= log.committed) return false;
  if (raft.state !== StateType.Follower) {
    logger.warning(
      () => `${hex(raft.id)} attempted to restore snapshot as leader; should never happen`,
    );
    raft.becomeFollower(raft.term + 1, NONE);
    return false;
  }
  const { voters, learners, votersOutgoing } = confState;
  if (![voters, learners, votersOutgoing].some((ids) => ids.includes(raft.id))) {
    logger.warning(
      () =>
        `${hex(raft.id)} attempted to restore snapshot but it is not in the ConfState; ` +
        'should never happen',
    );
    return false;
  }
  const describeLast = () =>
    `${hex(raft.id)} [commit: ${log.committed}, lastindex: ${log.lastIndex()}, ` +
    `lastterm: ${log.lastTerm()}]`;
  if (log.matchTerm(index, term)) {
    // The log already holds what the snapshot stands for; only the commit index was behind.
    logger.info(
      () => `${describeLast()} fast-forwarded commit to snapshot [index: ${index}, term: ${term}]`,
    );
    log.commitTo(index);
    return false;
  }
  log.restore(snapshot);
  raft.tracker = raft.newTracker();
  const restored = restore({ tracker: raft.tracker, lastIndex: log.lastIndex() }, confState);
  assertSameConfState(raft, confState, switchToConfig(raft, restored));
  logger.info(() => `${describeLast()} restored snapshot [index: ${index}, term: ${term}]`);
  return true;
}
