/**
 * The protocol state of one replica and the changes of role it goes through.
 *
 *                    timeout                 quorum of pre-votes
 *      +----------+ ---------> +--------------+ ---------> +-----------+ quorum  +--------+
 *      | follower |            | precandidate |            | candidate | ------> | leader |
 *      +----------+ <--------- +--------------+ <--------- +-----------+         +--------+
 *           ^      lost, leader found, higher term                                   |
 *           +------------------------------------------------------------------------+
 *                         higher term, no quorum active, removed
 *
 * Messages and ticks come in through `step` and `tick`; what has to be stored, sent or applied
 * collects in `messages`, `messagesAfterAppend`, `readStates` and `log`, where `RawNode` picks it
 * up. How each message is handled lives in the step-*, election, replication, follower, membership
 * and reads files; they change this state and nothing else.
 */
import { restore } from './confchange/restore.js';
import { resolveConfig, type RaftConfig, type Settings } from './config.js';
import { tickElection } from './election.js';
import { panic } from './errors.js';
import { RaftLog } from './log.js';
import { hex, type Logger } from './logger.js';
import { assertSameConfState, switchToConfig } from './membership.js';
import { NO_BYTES, type MessageDraft } from './message.js';
import { ReadOnly } from './read-only.js';
import { StateType, isEmptyHardState, type ReadState, type SoftState } from './ready.js';
import { appendEntries, tickHeartbeat } from './replication.js';
import { step } from './step.js';
import { ProgressTracker } from './tracker/tracker.js';
import {
  EntryType,
  MessageType,
  NONE,
  type HardState,
  type LogIndex,
  type Message,
  type NodeId,
  type Term,
} from './types.js';

export class Raft {
  readonly id: NodeId;
  readonly settings: Settings;
  readonly logger: Logger;
  readonly log: RaftLog;

  /** The newest term this replica has seen. */
  term: Term = 0;
  /** Who got the vote of this replica in `term`. */
  vote: NodeId = NONE;
  state: StateType = StateType.Follower;
  /** The leader of `term`, as far as known. */
  lead: NodeId = NONE;
  /** True if this replica has no vote in the active configuration. */
  isLearner = false;

  tracker: ProgressTracker;
  /** To whom leadership is being handed over; 0 if to nobody. */
  leadTransferee: NodeId = NONE;
  /** No membership change may be proposed until this index is applied. */
  pendingConfIndex: LogIndex = 0;
  /** Payload bytes in this leader's log that were not applied yet. */
  uncommittedBytes = 0;
  readOnly: ReadOnly;
  /** Read requests that came before this leader committed an entry of its own term. */
  pendingReads: Message[] = [];

  /** Ticks since the election timeout was last put off. */
  electionElapsed = 0;
  /** Ticks since the last heartbeat; leaders only. */
  heartbeatElapsed = 0;
  /** In [electionTicks, 2 * electionTicks); drawn anew at each change of role. */
  randomizedElectionTimeout = 0;

  /** May be sent at once. */
  messages: Message[] = [];
  /** May be sent only after the state they speak of was stored. */
  messagesAfterAppend: Message[] = [];
  readStates: ReadState[] = [];

  constructor(config: RaftConfig) {
    const settings = resolveConfig(config);
    this.id = settings.id;
    this.settings = settings;
    this.logger = settings.logger;
    this.log = new RaftLog(settings.storage, settings.logger, settings.committedBytesMax);
    this.readOnly = new ReadOnly(settings.readOnlyOption);
    this.tracker = this.newTracker();

    const { hardState, confState } = settings.storage.initialState();
    const lastIndex = this.log.lastIndex();
    const lastTerm = this.log.lastTerm();
    const restored = restore({ tracker: this.tracker, lastIndex }, confState);
    assertSameConfState(this, confState, switchToConfig(this, restored));
    if (!isEmptyHardState(hardState)) this.loadState(hardState);
    if (settings.applied > 0) this.log.appliedTo(settings.applied, 0);
    this.becomeFollower(this.term, NONE);
    this.logger.info(
      () =>
        `newRaft ${hex(this.id)} [peers: [${this.tracker.voterNodes().map(hex).join(',')}], ` +
        `term: ${this.term}, commit: ${this.log.committed}, applied: ${this.log.applied}, ` +
        `lastindex: ${lastIndex}, lastterm: ${lastTerm}]`,
    );
  }

  /** A tracker without members, with the limits of the settings. */
  newTracker(): ProgressTracker {
    const { inflightMessagesMax, inflightBytesMax } = this.settings;
    return new ProgressTracker(inflightMessagesMax, inflightBytesMax);
  }

  private loadState(state: HardState): void {
    const { committed } = this.log;
    const last = this.log.lastIndex();
    if (state.commit < committed || state.commit > last) {
      panic(
        this.logger,
        `${hex(this.id)} state.commit ${state.commit} is out of range [${committed}, ${last}]`,
      );
    }
    this.log.committed = state.commit;
    this.term = state.term;
    this.vote = state.vote;
  }

  softState(): SoftState {
    return { lead: this.lead, state: this.state };
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  /** One tick of the driver's clock. */
  tick(): void {
    if (this.state === StateType.Leader) tickHeartbeat(this);
    else tickElection(this);
  }

  /** Takes one message. Throws `RaftError` if it was refused. */
  step(message: Message): void {
    step(this, message);
  }

  /**
   * Queues a message. Answers that promise something about this replica's stored state wait until
   * that state is stored; everything else may leave at once.
   */
  send(message: MessageDraft): void {
    if (message.from === NONE) message.from = this.id;
    switch (message.type) {
      case MessageType.Vote:
      case MessageType.VoteResp:
      case MessageType.PreVote:
      case MessageType.PreVoteResp:
        // Votes name their term: a pre-vote speaks of the next one.
        if (message.term === 0) panic(this.logger, 'a vote message has to name its term');
        break;
      case MessageType.Prop:
      case MessageType.ReadIndex:
        // Passed on to the leader, these stay what they are: requests without a term.
        break;
      default:
        if (message.term !== 0) panic(this.logger, 'only votes name a term of their own');
        message.term = this.term;
    }
    if (
      message.type === MessageType.AppResp ||
      message.type === MessageType.VoteResp ||
      message.type === MessageType.PreVoteResp
    ) {
      this.messagesAfterAppend.push(message);
      return;
    }
    if (message.to === this.id) panic(this.logger, 'message should not be self-addressed');
    this.messages.push(message);
  }

  /** Forgets what belonged to the old role; the vote is kept within a term. */
  private reset(term: Term): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = NONE;
    }
    this.lead = NONE;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawElectionTimeout();
    this.abortLeaderTransfer();
    this.tracker.resetVotes();
    this.tracker.resetProgress(this.log.lastIndex(), this.id);
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.readOnly = new ReadOnly(this.settings.readOnlyOption);
  }

  private drawElectionTimeout(): void {
    const { electionTicks, random } = this.settings;
    this.randomizedElectionTimeout = electionTicks + Math.floor(random() * electionTicks);
  }

  abortLeaderTransfer(): void {
    this.leadTransferee = NONE;
  }

  becomeFollower(term: Term, lead: NodeId): void {
    this.reset(term);
    this.lead = lead;
    this.state = StateType.Follower;
    this.pendingReads = [];
    this.logger.info(() => `${hex(this.id)} became follower at term ${this.term}`);
  }

  becomeCandidate(): void {
    if (this.state === StateType.Leader) {
      panic(this.logger, 'invalid transition [leader -> candidate]');
    }
    this.reset(this.term + 1);
    this.vote = this.id;
    this.state = StateType.Candidate;
    this.logger.info(() => `${hex(this.id)} became candidate at term ${this.term}`);
  }

  /** Term and vote stay: a pre-candidate asks what would happen, it changes nothing yet. */
  becomePreCandidate(): void {
    if (this.state === StateType.Leader) {
      panic(this.logger, 'invalid transition [leader -> pre-candidate]');
    }
    this.tracker.resetVotes();
    this.lead = NONE;
    this.state = StateType.PreCandidate;
    this.logger.info(() => `${hex(this.id)} became pre-candidate at term ${this.term}`);
  }

  becomeLeader(): void {
    if (this.state === StateType.Follower) {
      panic(this.logger, 'invalid transition [follower -> leader]');
    }
    this.reset(this.term);
    this.lead = this.id;
    this.state = StateType.Leader;
    const own = this.tracker.progress.get(this.id);
    if (own === undefined) panic(this.logger, 'a leader has to be a member');
    own.becomeReplicate();
    own.recentActive = true;
    // Any entry of the log may be a membership change that is not applied yet; waiting for all of
    // them is cheaper than looking.
    this.pendingConfIndex = this.log.lastIndex();
    const first = { term: 0, index: 0, type: EntryType.Normal, data: NO_BYTES };
    if (!appendEntries(this, [first])) panic(this.logger, 'empty entry was dropped');
    this.logger.info(() => `${hex(this.id)} became leader at term ${this.term}`);
  }
}
