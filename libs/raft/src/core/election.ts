/**
 * Elections: when one starts, who is asked, how a request is answered, how votes are counted.
 *
 * Takes ticks, vote requests and vote answers; gives vote messages and changes of role. A vote
 * message is queued behind the write of the vote it tells of (see `Raft.send`).
 */
import { messageName } from './describe.js';
import { hex } from './logger.js';
import { CAMPAIGN_TRANSFER, isCampaignTransfer, newMessage } from './message.js';
import type { Raft } from './raft.js';
import { StateType } from './ready.js';
import { EntryType, MessageType, NONE, type LogIndex, type Message, type Term } from './types.js';

/** Why a campaign starts; it decides what is sent. */
export type CampaignKind =
  /** Asks whether an election could be won, without raising the term. */
  | 'pre-election'
  | 'election'
  /** The leader asked for it: no pre-vote, and leases do not stand in the way. */
  | 'transfer';

/** A tick of a replica that does not lead. */
export function tickElection(raft: Raft): void {
  raft.electionElapsed++;
  if (raft.electionElapsed < raft.randomizedElectionTimeout || !isPromotable(raft)) return;
  raft.electionElapsed = 0;
  const message = newMessage(MessageType.Hup, NONE);
  message.from = raft.id;
  raft.step(message);
}

/** True if this replica may become leader: a voter whose own log is its state, and whole again. */
function isPromotable(raft: Raft): boolean {
  const own = raft.tracker.progress.get(raft.id);
  if (own === undefined || own.isLearner || raft.log.unstable.snapshot !== undefined) return false;
  return reachesFloor(raft, raft.log.lastIndex(), raft.log.lastTerm());
}

/** True if a log that ends with (index, term) has what this replica once said it had. */
function reachesFloor({ settings: { voteFloor } }: Raft, index: LogIndex, term: Term): boolean {
  return term > voteFloor.term || (term === voteFloor.term && index >= voteFloor.index);
}

/** Starts an election unless something speaks against it. */
export function startElection(raft: Raft, kind: CampaignKind): void {
  const { logger } = raft;
  if (raft.state === StateType.Leader) {
    logger.debug(() => `${hex(raft.id)} ignoring MsgHup because already leader`);
    return;
  }
  if (!isPromotable(raft)) {
    logger.warning(() => `${hex(raft.id)} is unpromotable and can not campaign`);
    return;
  }
  if (hasUnappliedConfChanges(raft)) {
    logger.warning(
      () =>
        `${hex(raft.id)} cannot campaign at term ${raft.term} since there are still pending ` +
        'configuration changes to apply',
    );
    return;
  }
  logger.info(() => `${hex(raft.id)} is starting a new election at term ${raft.term}`);
  campaign(raft, kind);
}

/** A committed but not applied change means that this replica does not know its own group. */
function hasUnappliedConfChanges(raft: Raft): boolean {
  const { log, settings } = raft;
  const end = log.committed + 1;
  let low = log.applied + 1;
  const firstIndex = log.firstIndex();
  // What lies below the first index came with a snapshot, and its configuration with it.
  if (low < firstIndex) low = firstIndex;
  while (low < end) {
    const page = log.slice(low, end, settings.committedBytesMax);
    if (page.some((entry) => entry.type !== EntryType.Normal)) return true;
    low += page.length;
  }
  return false;
}

/** Asks all voters, itself included. The replica must be one of them. */
export function campaign(raft: Raft, kind: CampaignKind): void {
  const preVote = kind === 'pre-election';
  if (preVote) raft.becomePreCandidate();
  else raft.becomeCandidate();
  const request = preVote ? MessageType.PreVote : MessageType.Vote;
  const term = preVote ? raft.term + 1 : raft.term;
  const lastIndex = raft.log.lastIndex();
  const lastTerm = raft.log.lastTerm();
  for (const id of raft.tracker.voterNodes()) {
    if (id === raft.id) {
      // The own vote counts once it is stored, like everybody else's.
      const own = newMessage(answerTo(request), id);
      own.term = term;
      raft.send(own);
      continue;
    }
    raft.logger.info(
      () =>
        `${hex(raft.id)} [logterm: ${lastTerm}, index: ${lastIndex}] sent ${messageName(request)} ` +
        `request to ${hex(id)} at term ${raft.term}`,
    );
    const message = newMessage(request, id);
    message.term = term;
    message.index = lastIndex;
    message.logTerm = lastTerm;
    if (kind === 'transfer') message.context = CAMPAIGN_TRANSFER;
    raft.send(message);
  }
}

function answerTo(request: MessageType): MessageType {
  return request === MessageType.Vote ? MessageType.VoteResp : MessageType.PreVoteResp;
}

/** How log lines introduce a vote: own position, own vote, and the candidate's position. */
function describeVote(raft: Raft, verb: string, message: Message): string {
  return (
    `${describeOwnPosition(raft)} ${verb} ${messageName(message.type)} from ` +
    describeCandidate(message, raft.term)
  );
}

function describeOwnPosition(raft: Raft): string {
  const { log } = raft;
  return (
    `${hex(raft.id)} [logterm: ${log.lastTerm()}, index: ${log.lastIndex()}, ` +
    `vote: ${hex(raft.vote)}]`
  );
}

function describeCandidate(message: Message, term: Term): string {
  return (
    `${hex(message.from)} [logterm: ${message.logTerm}, index: ${message.index}] ` +
    `at term ${term}`
  );
}

/** True if a request with a higher term has to be ignored because the leader is alive. */
export function isRefusedByLease(raft: Raft, message: Message): boolean {
  const { electionTicks, checkQuorum } = raft.settings;
  if (!checkQuorum || raft.lead === NONE || raft.electionElapsed >= electionTicks) return false;
  if (isCampaignTransfer(message.context)) return false;
  raft.logger.info(
    () =>
      `${describeVote(raft, 'ignored', message)}: lease is not expired ` +
      `(remaining ticks: ${electionTicks - raft.electionElapsed})`,
  );
  return true;
}

/** Answers a vote or pre-vote request of this term or, for a pre-vote, of a later one. */
export function handleVoteRequest(raft: Raft, message: Message): void {
  const mayVote =
    raft.vote === message.from ||
    (raft.vote === NONE && raft.lead === NONE) ||
    (message.type === MessageType.PreVote && message.term > raft.term);
  const { index, logTerm } = message;
  const hasAll = raft.log.isUpToDate(index, logTerm) && reachesFloor(raft, index, logTerm);
  if (!mayVote || !hasAll) {
    rejectVote(raft, message);
    return;
  }
  // Learners vote as well: a candidate that asks knows a newer configuration in which they may.
  raft.logger.info(
    () =>
      `${describeOwnPosition(raft)} cast ${messageName(message.type)} for ` +
      describeCandidate(message, raft.term),
  );
  const answer = newMessage(answerTo(message.type), message.from);
  // The term of the request: a pre-vote is for a term that this replica has not entered.
  answer.term = message.term;
  raft.send(answer);
  if (message.type === MessageType.Vote) {
    raft.electionElapsed = 0;
    raft.vote = message.from;
  }
}

/** Says no, with the own term so that a candidate that is behind catches up. */
export function rejectVote(raft: Raft, message: Message): void {
  raft.logger.info(() => describeVote(raft, 'rejected', message));
  const answer = newMessage(answerTo(message.type), message.from);
  answer.term = raft.term;
  answer.reject = true;
  raft.send(answer);
}

/** Counts a vote; returns what the election has come to. */
export function handleVoteAnswer(raft: Raft, message: Message): 'pending' | 'lost' | 'won' {
  const { logger, tracker } = raft;
  logger.info(
    () =>
      `${hex(raft.id)} received ${messageName(message.type)}${message.reject ? ' rejection' : ''} ` +
      `from ${hex(message.from)} at term ${raft.term}`,
  );
  tracker.recordVote(message.from, !message.reject);
  const { granted, rejected, result } = tracker.tallyVotes();
  logger.info(
    () =>
      `${hex(raft.id)} has received ${granted} ${messageName(message.type)} votes and ` +
      `${rejected} vote rejections`,
  );
  return result;
}
