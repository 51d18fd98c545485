/**
 * Messages as a follower (or learner) takes them: it follows the leader of its term, passes
 * requests on to it, and starts an election when that leader asks for one.
 */
import { startElection } from './election.js';
import { proposalDropped } from './errors.js';
import { handleAppend, handleHeartbeat, handleSnapshot } from './follower.js';
import { hex } from './logger.js';
import { forwarded } from './message.js';
import type { Raft } from './raft.js';
import { MessageType, NONE, type Message } from './types.js';

export function stepFollower(raft: Raft, message: Message): void {
  switch (message.type) {
    case MessageType.App:
      followLeader(raft, message);
      handleAppend(raft, message);
      return;
    case MessageType.Heartbeat:
      followLeader(raft, message);
      handleHeartbeat(raft, message);
      return;
    case MessageType.Snap:
      followLeader(raft, message);
      handleSnapshot(raft, message);
      return;
    case MessageType.Prop:
      forwardProposal(raft, message);
      return;
    case MessageType.TransferLeader:
      forwardOrDrop(raft, message, 'dropping leader transfer msg');
      return;
    case MessageType.ReadIndex:
      forwardOrDrop(raft, message, 'dropping index reading msg');
      return;
    case MessageType.ReadIndexResp:
      handleReadIndexAnswer(raft, message);
      return;
    case MessageType.TimeoutNow:
      raft.logger.info(
        () =>
          `${hex(raft.id)} [term ${raft.term}] received MsgTimeoutNow from ` +
          `${hex(message.from)} and starts an election to get leadership.`,
      );
      // The leader gives up its place by itself, so there is nothing a pre-vote could protect.
      startElection(raft, 'transfer');
      return;
    case MessageType.ForgetLeader:
      forgetLeader(raft);
      return;
    default:
      // Answers to what this replica sent in another role.
      return;
  }
}

function followLeader(raft: Raft, message: Message): void {
  raft.electionElapsed = 0;
  raft.lead = message.from;
}

function forwardProposal(raft: Raft, message: Message): void {
  const { logger, lead, term } = raft;
  if (lead === NONE) {
    logger.info(() => `${hex(raft.id)} no leader at term ${term}; dropping proposal`);
    throw proposalDropped();
  }
  if (raft.settings.disableProposalForwarding) {
    logger.info(
      () =>
        `${hex(raft.id)} not forwarding to leader ${hex(lead)} at term ${term}; dropping proposal`,
    );
    throw proposalDropped();
  }
  raft.send(forwarded(message, lead, raft.id));
}

function forwardOrDrop(raft: Raft, message: Message, consequence: string): void {
  if (raft.lead === NONE) {
    raft.logger.info(() => `${hex(raft.id)} no leader at term ${raft.term}; ${consequence}`);
    return;
  }
  raft.send(forwarded(message, raft.lead, raft.id));
}

function handleReadIndexAnswer(raft: Raft, message: Message): void {
  const entry = message.entries[0];
  if (message.entries.length !== 1 || entry === undefined) {
    raft.logger.error(
      () =>
        `${hex(raft.id)} invalid format of MsgReadIndexResp from ${hex(message.from)}, ` +
        `entries count: ${message.entries.length}`,
    );
    return;
  }
  raft.readStates.push({ index: message.index, requestContext: entry.data });
}

/** The driver knows that the leader is gone; elections need not wait for the lease to run out. */
function forgetLeader(raft: Raft): void {
  if (raft.settings.readOnlyOption === 'lease-based') {
    // The leader answers reads because it counts on its followers' patience.
    raft.logger.error(() => 'ignoring MsgForgetLeader due to ReadOnlyLeaseBased');
    return;
  }
  if (raft.lead === NONE) return;
  const { lead, term } = raft;
  raft.logger.info(() => `${hex(raft.id)} forgetting leader ${hex(lead)} at term ${term}`);
  raft.lead = NONE;
}
