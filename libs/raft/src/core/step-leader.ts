/**
 * Messages as the leader takes them: proposals and reads from clients, answers from followers,
 * and its own clock. Answers move a follower's `Progress`, and with it the commit index.
 */
import { panic, proposalDropped } from './errors.js';
import { hex } from './logger.js';
import { screenConfChanges } from './membership.js';
import type { Raft } from './raft.js';
import { confirmReads, handleReadIndex, releasePendingReads } from './reads.js';
import {
  appendEntries,
  broadcastAppend,
  broadcastHeartbeat,
  maybeCommit,
  maybeSendAppend,
  sendTimeoutNow,
} from './replication.js';
import type { Progress } from './tracker/progress.js';
import { MessageType, NONE, type Message, type NodeId } from './types.js';

export function stepLeader(raft: Raft, message: Message): void {
  switch (message.type) {
    case MessageType.Prop:
      propose(raft, message);
      return;
    case MessageType.Beat:
      broadcastHeartbeat(raft);
      return;
    case MessageType.CheckQuorum:
      checkQuorum(raft);
      return;
    case MessageType.ReadIndex:
      handleReadIndex(raft, message);
      return;
    case MessageType.ForgetLeader:
      return;
    default:
      stepFromFollower(raft, message);
  }
}

function propose(raft: Raft, message: Message): void {
  const { logger } = raft;
  if (message.entries.length === 0) panic(logger, `${hex(raft.id)} stepped empty MsgProp`);
  // Removed from the group while leading: what it appended might never be committed.
  if (!raft.tracker.progress.has(raft.id)) throw proposalDropped();
  if (raft.leadTransferee !== NONE) {
    logger.debug(
      () =>
        `${hex(raft.id)} [term ${raft.term}] transfer leadership to ` +
        `${hex(raft.leadTransferee)} is in progress; dropping proposal`,
    );
    throw proposalDropped();
  }
  if (!appendEntries(raft, screenConfChanges(raft, message.entries))) throw proposalDropped();
  broadcastAppend(raft);
}

/** Steps down if fewer than a quorum were heard of since the last check. */
function checkQuorum(raft: Raft): void {
  if (!raft.tracker.quorumActive()) {
    raft.logger.warning(
      () => `${hex(raft.id)} stepped down to follower since quorum is not active`,
    );
    raft.becomeFollower(raft.term, NONE);
  }
  raft.tracker.visit((id, progress) => {
    if (id !== raft.id) progress.recentActive = false;
  });
}

function stepFromFollower(raft: Raft, message: Message): void {
  const progress = raft.tracker.progress.get(message.from);
  if (progress === undefined) {
    raft.logger.debug(() => `${hex(raft.id)} no progress available for ${hex(message.from)}`);
    return;
  }
  switch (message.type) {
    case MessageType.AppResp:
      progress.recentActive = true;
      if (message.reject) handleRejectedAppend(raft, progress, message);
      else handleAcceptedAppend(raft, progress, message);
      return;
    case MessageType.HeartbeatResp:
      handleHeartbeatAnswer(raft, progress, message);
      return;
    case MessageType.SnapStatus:
      handleSnapshotStatus(raft, progress, message);
      return;
    case MessageType.Unreachable:
      // Appends in flight are probably lost, so no more are sent ahead of answers.
      if (progress.state === 'StateReplicate') progress.becomeProbe();
      raft.logger.debug(
        () =>
          `${hex(raft.id)} failed to send message to ${hex(message.from)} because it is ` +
          `unreachable [${progress.toString()}]`,
      );
      return;
    case MessageType.TransferLeader:
      transferLeader(raft, progress, message.from);
      return;
    default:
      // Votes of an election that is over.
      return;
  }
}

function handleRejectedAppend(raft: Raft, progress: Progress, message: Message): void {
  const { logger } = raft;
  logger.debug(
    () =>
      `${hex(raft.id)} received MsgAppResp(rejected, hint: (index ${message.rejectHint}, ` +
      `term ${message.logTerm})) from ${hex(message.from)} for index ${message.index}`,
  );
  // The follower named its last index that may agree, and its term there. All own entries above
  // the last one whose term is not higher cannot agree either.
  const next =
    message.logTerm > 0
      ? raft.log.findConflictByTerm(message.rejectHint, message.logTerm).index
      : message.rejectHint;
  if (!progress.maybeDecrTo(message.index, next)) return;
  logger.debug(
    () => `${hex(raft.id)} decreased progress of ${hex(message.from)} to [${progress.toString()}]`,
  );
  if (progress.state === 'StateReplicate') progress.becomeProbe();
  maybeSendAppend(raft, message.from, true);
}

function handleAcceptedAppend(raft: Raft, progress: Progress, message: Message): void {
  const { from, index } = message;
  // An answer that confirms what is known still ends a probe.
  const news =
    progress.maybeUpdate(index) || (progress.match === index && progress.state === 'StateProbe');
  if (!news) return;
  updateFlow(raft, progress, message);
  if (maybeCommit(raft)) {
    releasePendingReads(raft);
    broadcastAppend(raft);
  } else if (from !== raft.id && progress.canBumpCommit(raft.log.committed)) {
    // It has not heard of the newest commit index; no need to wait for a heartbeat.
    maybeSendAppend(raft, from, true);
  }
  if (from === raft.id) return;
  // The window may have opened for several messages.
  while (maybeSendAppend(raft, from, false));
  if (from === raft.leadTransferee && progress.match === raft.log.lastIndex()) {
    raft.logger.info(
      () => `${hex(raft.id)} sent MsgTimeoutNow to ${hex(from)} after received MsgAppResp`,
    );
    sendTimeoutNow(raft, from);
  }
}

/** The follower and the leader agree up to `message.index`: adapt how appends are sent. */
function updateFlow(raft: Raft, progress: Progress, message: Message): void {
  switch (progress.state) {
    case 'StateProbe':
      progress.becomeReplicate();
      return;
    case 'StateSnapshot':
      // Whichever way it got there, the rest of the log can now be sent as entries.
      if (progress.match + 1 < raft.log.firstIndex()) return;
      raft.logger.debug(
        () =>
          `${hex(raft.id)} recovered from needing snapshot, resumed sending replication ` +
          `messages to ${hex(message.from)} [${progress.toString()}]`,
      );
      // Probing first takes the snapshot's index into account.
      progress.becomeProbe();
      progress.becomeReplicate();
      return;
    default:
      progress.inflights.freeLE(message.index);
  }
}

function handleHeartbeatAnswer(raft: Raft, progress: Progress, message: Message): void {
  progress.recentActive = true;
  progress.msgAppFlowPaused = false;
  // Also to one that is paused or probed although it has everything: an empty append gets an
  // answer that sets the flow right.
  if (progress.match < raft.log.lastIndex() || progress.state === 'StateProbe') {
    maybeSendAppend(raft, message.from, true);
  }
  confirmReads(raft, message);
}

function handleSnapshotStatus(raft: Raft, progress: Progress, message: Message): void {
  if (progress.state !== 'StateSnapshot') return;
  // A snapshot that failed is no base to probe from.
  if (message.reject) progress.pendingSnapshot = 0;
  progress.becomeProbe();
  const outcome = message.reject ? 'failed' : 'succeeded';
  raft.logger.debug(
    () =>
      `${hex(raft.id)} snapshot ${outcome}, resumed sending replication messages to ` +
      `${hex(message.from)} [${progress.toString()}]`,
  );
  // The follower's own answer, or a heartbeat's, starts the flow again.
  progress.msgAppFlowPaused = true;
}

function transferLeader(raft: Raft, progress: Progress, to: NodeId): void {
  const { logger } = raft;
  const self = hex(raft.id);
  if (progress.isLearner) {
    logger.debug(() => `${self} is learner. Ignored transferring leadership`);
    return;
  }
  const current = raft.leadTransferee;
  if (current === to) {
    logger.info(
      () =>
        `${self} [term ${raft.term}] transfer leadership to ${hex(to)} is in progress, ignores ` +
        `request to same node ${hex(to)}`,
    );
    return;
  }
  if (current !== NONE) {
    raft.abortLeaderTransfer();
    logger.info(
      () => `${self} [term ${raft.term}] abort previous transferring leadership to ${hex(current)}`,
    );
  }
  if (to === raft.id) {
    logger.debug(() => `${self} is already leader. Ignored transferring leadership to self`);
    return;
  }
  logger.info(() => `${self} [term ${raft.term}] starts to transfer leadership to ${hex(to)}`);
  // The transfer has one election timeout; the clock of it starts now.
  raft.electionElapsed = 0;
  raft.leadTransferee = to;
  if (progress.match === raft.log.lastIndex()) {
    sendTimeoutNow(raft, to);
    logger.info(
      () =>
        `${self} sends MsgTimeoutNow to ${hex(to)} immediately as ${hex(to)} already has ` +
        'up-to-date log',
    );
  } else {
    maybeSendAppend(raft, to, true);
  }
}
