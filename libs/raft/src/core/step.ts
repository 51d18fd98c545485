/**
 * The first stage of every message: is its term old, current or new, and what follows from that.
 *
 *   message -> term check (drop, answer, or adopt the term) -> common handling -> role's handling
 *
 * Votes, starts of elections and reports of the storage threads mean the same in every role and
 * end here; the rest goes to step-leader, step-candidate or step-follower.
 */
import { handleVoteRequest, isRefusedByLease, rejectVote, startElection } from './election.js';
import { entriesBytes, payloadBytes } from './entry-size.js';
import { messageName } from './describe.js';
import { hex } from './logger.js';
import { appliedSnapshot, appliedTo } from './membership.js';
import { newMessage } from './message.js';
import type { Raft } from './raft.js';
import { StateType } from './ready.js';
import { reduceUncommittedBytes } from './replication.js';
import { stepCandidate } from './step-candidate.js';
import { stepFollower } from './step-follower.js';
import { stepLeader } from './step-leader.js';
import { MessageType, NONE, type Message } from './types.js';

export function step(raft: Raft, message: Message): void {
  // Term 0 marks what is local or not bound to a term (proposals, read requests).
  if (message.term !== 0 && message.term !== raft.term) {
    if (message.term < raft.term) {
      stepOldTerm(raft, message);
      return;
    }
    if (!enterNewTerm(raft, message)) return;
  }
  switch (message.type) {
    case MessageType.Hup:
      startElection(raft, raft.settings.preVote ? 'pre-election' : 'election');
      return;
    case MessageType.Vote:
    case MessageType.PreVote:
      handleVoteRequest(raft, message);
      return;
    case MessageType.StorageAppendResp:
      if (message.index !== 0) raft.log.unstable.stableTo(message.index, message.logTerm);
      if (message.snapshot !== undefined) appliedSnapshot(raft, message.snapshot);
      return;
    case MessageType.StorageApplyResp:
      handleApplied(raft, message);
      return;
    default:
      stepRole(raft, message);
  }
}

function stepRole(raft: Raft, message: Message): void {
  switch (raft.state) {
    case StateType.Leader:
      stepLeader(raft, message);
      return;
    case StateType.Follower:
      stepFollower(raft, message);
      return;
    default:
      stepCandidate(raft, message);
  }
}

/** A newer term ends whatever role this replica has. False if the message must be ignored. */
function enterNewTerm(raft: Raft, message: Message): boolean {
  const { type, from, term } = message;
  const isVote = type === MessageType.Vote || type === MessageType.PreVote;
  if (isVote && isRefusedByLease(raft, message)) return false;
  // A pre-vote only asks, and its grant speaks of a term that does not exist yet.
  if (type === MessageType.PreVote) return true;
  if (type === MessageType.PreVoteResp && !message.reject) return true;
  raft.logger.info(
    () =>
      `${hex(raft.id)} [term: ${raft.term}] received a ${messageName(type)} message with ` +
      `higher term from ${hex(from)} [term: ${term}]`,
  );
  const isFromLeader =
    type === MessageType.App || type === MessageType.Heartbeat || type === MessageType.Snap;
  raft.becomeFollower(term, isFromLeader ? from : NONE);
  return true;
}

/** Mostly ignored; but some senders have to be told, or they would stay behind for good. */
function stepOldTerm(raft: Raft, message: Message): void {
  const { type, from, term } = message;
  const { checkQuorum, preVote } = raft.settings;
  if ((checkQuorum || preVote) && (type === MessageType.Heartbeat || type === MessageType.App)) {
    // This replica may have campaigned while it was cut off, and its requests are ignored because
    // of the leader's lease. The answer's term makes that leader step down, so that a term above
    // both is found. Without those two settings, vote requests do it.
    raft.send(newMessage(MessageType.AppResp, from));
  } else if (type === MessageType.PreVote) {
    // A candidate with a lower term and a better log could otherwise never win.
    rejectVote(raft, message);
  } else if (type === MessageType.StorageAppendResp) {
    if (message.index !== 0) {
      // The entries may have been replaced since; a later report covers what is there now.
      raft.logger.info(
        () =>
          `${hex(raft.id)} [term: ${raft.term}] ignored entry appends from a ` +
          `${messageName(type)} message with lower term [term: ${term}]`,
      );
    }
    // A snapshot is committed state in any term.
    if (message.snapshot !== undefined) appliedSnapshot(raft, message.snapshot);
  } else {
    raft.logger.info(
      () =>
        `${hex(raft.id)} [term: ${raft.term}] ignored a ${messageName(type)} message with ` +
        `lower term from ${hex(from)} [term: ${term}]`,
    );
  }
}

function handleApplied(raft: Raft, message: Message): void {
  const { entries } = message;
  const last = entries[entries.length - 1];
  if (last === undefined) return;
  appliedTo(raft, last.index, entriesBytes(entries));
  reduceUncommittedBytes(raft, payloadBytes(entries));
}
