/**
 * Linearizable reads without a log entry: the leader's side of ReadIndex.
 *
 *   request --(no entry of this term committed)--> wait
 *           --(single voter, or lease)-----------> answer at once
 *           --(otherwise)------------------------> heartbeat round -> quorum -> answer
 *
 * An answer is a `ReadState` here, or a message to the follower that passed the request on.
 */
import { newMessage } from './message.js';
import { jointVoteResult } from './quorum/joint.js';
import type { Raft } from './raft.js';
import { PENDING_READS_MAX, readContext } from './read-only.js';
import { broadcastHeartbeatWith } from './replication.js';
import { MessageType, NONE, type LogIndex, type Message } from './types.js';

export function handleReadIndex(raft: Raft, request: Message): void {
  const isOwn = request.from === NONE || request.from === raft.id;
  // The driver of an only voter looks after its own reads; a learner that asks knows nothing of it.
  if (raft.tracker.isSingleton() && (isOwn || hasCommittedInTerm(raft))) {
    answerRead(raft, request, raft.log.committed);
    return;
  }
  // Until an entry of its own term is committed, a leader does not know the newest commit index.
  if (!hasCommittedInTerm(raft)) {
    if (raft.pendingReads.length < PENDING_READS_MAX) raft.pendingReads.push(request);
    return;
  }
  startRead(raft, request);
}

function hasCommittedInTerm(raft: Raft): boolean {
  return raft.log.termOrZero(raft.log.committed) === raft.term;
}

function startRead(raft: Raft, request: Message): void {
  if (raft.readOnly.option === 'lease-based') {
    answerRead(raft, request, raft.log.committed);
    return;
  }
  const context = readContext(request);
  if (!raft.readOnly.add(request, raft.log.committed)) return;
  raft.readOnly.acknowledge(raft.id, context);
  broadcastHeartbeatWith(raft, context);
}

/** Answers reads that waited for the first commit of this term. */
export function releasePendingReads(raft: Raft): void {
  if (raft.pendingReads.length === 0 || !hasCommittedInTerm(raft)) return;
  const requests = raft.pendingReads;
  raft.pendingReads = [];
  for (const request of requests) startRead(raft, request);
}

/** A heartbeat was answered: with a quorum, its read and all older ones are proven. */
export function confirmReads(raft: Raft, message: Message): void {
  const { context } = message;
  if (raft.readOnly.option !== 'safe' || context === undefined || context.length === 0) return;
  const acks = raft.readOnly.acknowledge(message.from, context);
  if (acks === undefined) return;
  if (jointVoteResult(raft.tracker.config.voters, acks) !== 'won') return;
  for (const read of raft.readOnly.advance(context)) answerRead(raft, read.request, read.index);
}

function answerRead(raft: Raft, request: Message, index: LogIndex): void {
  if (request.from === NONE || request.from === raft.id) {
    raft.readStates.push({ index, requestContext: readContext(request) });
    return;
  }
  const answer = newMessage(MessageType.ReadIndexResp, request.from);
  answer.index = index;
  answer.entries = request.entries;
  raft.send(answer);
}
