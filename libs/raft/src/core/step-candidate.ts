/**
 * Messages as a candidate or pre-candidate takes them: votes are counted, and a leader of the
 * same term ends the campaign.
 */
import { campaign, handleVoteAnswer } from './election.js';
import { proposalDropped } from './errors.js';
import { handleAppend, handleHeartbeat, handleSnapshot } from './follower.js';
import { hex } from './logger.js';
import type { Raft } from './raft.js';
import { StateType } from './ready.js';
import { broadcastAppend } from './replication.js';
import { MessageType, NONE, type Message } from './types.js';

export function stepCandidate(raft: Raft, message: Message): void {
  switch (message.type) {
    case MessageType.App:
      raft.becomeFollower(message.term, message.from);
      handleAppend(raft, message);
      return;
    case MessageType.Heartbeat:
      raft.becomeFollower(message.term, message.from);
      handleHeartbeat(raft, message);
      return;
    case MessageType.Snap:
      raft.becomeFollower(message.term, message.from);
      handleSnapshot(raft, message);
      return;
    case MessageType.Prop:
      raft.logger.info(() => `${hex(raft.id)} no leader at term ${raft.term}; dropping proposal`);
      throw proposalDropped();
    case MessageType.VoteResp:
      if (raft.state === StateType.Candidate) countVote(raft, message);
      return;
    case MessageType.PreVoteResp:
      if (raft.state === StateType.PreCandidate) countVote(raft, message);
      return;
    case MessageType.TimeoutNow:
      raft.logger.debug(
        () =>
          `${hex(raft.id)} [term ${raft.term} state ${raft.state}] ignored MsgTimeoutNow from ` +
          hex(message.from),
      );
      return;
    default:
      // Answers to what this replica sent in another role, and requests only a leader can serve.
      return;
  }
}

function countVote(raft: Raft, message: Message): void {
  const result = handleVoteAnswer(raft, message);
  if (result === 'won') {
    if (raft.state === StateType.PreCandidate) {
      campaign(raft, 'election');
      return;
    }
    raft.becomeLeader();
    broadcastAppend(raft);
  } else if (result === 'lost') {
    // The own term: a pre-vote's answer names the next one.
    raft.becomeFollower(raft.term, NONE);
  }
}
