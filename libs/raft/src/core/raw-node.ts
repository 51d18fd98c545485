/**
 * One replica as its driver sees it: inputs as calls, outputs as `Ready` batches.
 *
 *   tick / step / propose ... -> protocol state -> hasReady? -> ready() -> driver
 *
 * Synchronous mode: the driver stores, sends, applies, then calls `advance()`.
 * Asynchronous mode (`asyncStorageWrites`): the batch's messages include work for the local log
 * writer and state machine; the driver hands it to them and steps their attached responses (those
 * that are for this replica) when the work is done. `advance` is not used, and batches overlap.
 *
 * Every call is synchronous and does no IO. After a `RaftInvariantError` or an error of the storage
 * the replica must not be used any more.
 */
import {
  ConfChangeType,
  encodeConfChange,
  encodeConfChangeV2,
  type ConfChange,
  type ConfChangeV2,
} from './confchange/types.js';
import type { RaftConfig } from './config.js';
import { RaftError, RaftErrorCode, panic } from './errors.js';
import { applyConfChange } from './membership.js';
import { NO_BYTES, NO_MESSAGES, newMessage } from './message.js';
import { Raft } from './raft.js';
import {
  StateType,
  hardStatesEqual,
  isEmptyHardState,
  isLocalMessage,
  isResponseMessage,
  mustSync,
  type ReadState,
  type Ready,
  type SoftState,
} from './ready.js';
import { basicStatus, status, type BasicStatus, type Status } from './status.js';
import {
  applyMessage,
  applyResponse,
  appendMessage,
  appendResponse,
  needsAppendMessage,
  needsAppendResponse,
} from './storage-messages.js';
import {
  EMPTY_HARD_STATE,
  EntryType,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  MessageType,
  NONE,
  type ConfState,
  type Entry,
  type HardState,
  type Message,
  type NodeId,
} from './types.js';

/** A founding member of a group. */
export interface Peer {
  readonly id: NodeId;
  /** Travels with the membership entry that adds the peer. */
  readonly context?: Uint8Array;
}

type ReadyDraft = { -readonly [Field in keyof Ready]: Ready[Field] };

const NO_READ_STATES: readonly ReadState[] = [];

/** True for the log writer and the state machine of this replica. */
export function isLocalTarget(id: NodeId): boolean {
  return id === LOCAL_APPEND_THREAD || id === LOCAL_APPLY_THREAD;
}

export class RawNode {
  /** The protocol state; for tests and tools, which must not change it. */
  readonly raft: Raft;
  private readonly asyncStorageWrites: boolean;
  private previousSoftState: SoftState;
  private previousHardState: HardState;
  /** Synchronous mode: what this replica tells itself once the batch is done. */
  private stepsOnAdvance: Message[] = [];

  /** Throws `RaftError` 'config-invalid'. */
  constructor(config: RaftConfig) {
    this.raft = new Raft(config);
    this.asyncStorageWrites = this.raft.settings.asyncStorageWrites;
    this.previousSoftState = this.raft.softState();
    this.previousHardState = this.raft.hardState();
  }

  get id(): NodeId {
    return this.raft.id;
  }

  /** Tells that one tick of the driver's clock has passed. */
  tick(): void {
    this.raft.tick();
  }

  /** Starts an election (or a pre-vote) now. */
  campaign(): void {
    this.raft.step(newMessage(MessageType.Hup, NONE));
  }

  /** Asks for `data` to be appended to the log. Throws `RaftError` 'proposal-dropped'. */
  propose(data: Uint8Array): void {
    this.proposeEntries([{ term: 0, index: 0, type: EntryType.Normal, data }]);
  }

  /** Several proposals at once: all are taken or none. Throws 'proposal-dropped'. */
  proposeMany(payloads: readonly Uint8Array[]): void {
    if (payloads.length === 0) return;
    const type = EntryType.Normal;
    this.proposeEntries(payloads.map((data) => ({ term: 0, index: 0, type, data })));
  }

  /** Asks for a change of membership. Throws `RaftError` 'proposal-dropped'. */
  proposeConfChange(change: ConfChange | ConfChangeV2): void {
    const isV2 = 'changes' in change;
    const type = isV2 ? EntryType.ConfChangeV2 : EntryType.ConfChange;
    const data = isV2 ? encodeConfChangeV2(change) : encodeConfChange(change);
    this.proposeEntries([{ term: 0, index: 0, type, data }]);
  }

  private proposeEntries(entries: readonly Entry[]): void {
    const message = newMessage(MessageType.Prop, NONE);
    message.from = this.raft.id;
    message.entries = entries;
    this.raft.step(message);
  }

  /** Makes a committed change of membership effective; call it for each one that is applied. */
  applyConfChange(change: ConfChange | ConfChangeV2): ConfState {
    return applyConfChange(this.raft, change);
  }

  /**
   * Takes a message from another replica, or a response of the local storage threads. Throws
   * `RaftError` ('step-local-message', 'step-peer-not-found', 'proposal-dropped').
   */
  step(message: Message): void {
    const isFromStorage = isLocalTarget(message.from);
    if (isLocalMessage(message.type) && !isFromStorage) {
      throw new RaftError(RaftErrorCode.StepLocalMessage, 'raft: cannot step raft local message');
    }
    if (
      isResponseMessage(message.type) &&
      !isFromStorage &&
      !this.raft.tracker.progress.has(message.from)
    ) {
      throw new RaftError(RaftErrorCode.StepPeerNotFound, 'raft: cannot step as peer not found');
    }
    this.raft.step(message);
  }

  /**
   * Asks for an index that makes a local read linearizable once it is applied. The answer comes as
   * a `ReadState` with the same `context`, or never (no leader, a lost message): repeat with a new
   * context after a while.
   */
  readIndex(context: Uint8Array): void {
    const message = newMessage(MessageType.ReadIndex, NONE);
    message.entries = [{ term: 0, index: 0, type: EntryType.Normal, data: context }];
    this.raft.step(message);
  }

  /** Asks that `to` become leader; given up after an election timeout. */
  transferLeader(to: NodeId): void {
    this.stepFrom(MessageType.TransferLeader, to);
  }

  /** A follower forgets who leads, so that it grants votes at once. */
  forgetLeader(): void {
    this.raft.step(newMessage(MessageType.ForgetLeader, NONE));
  }

  /** The last message to `id` could not be delivered. */
  reportUnreachable(id: NodeId): void {
    this.stepFrom(MessageType.Unreachable, id);
  }

  /** A snapshot to `id` was delivered (it may still be refused there), or was not. */
  reportSnapshot(id: NodeId, outcome: 'finish' | 'failure'): void {
    this.stepFrom(MessageType.SnapStatus, id, outcome === 'failure');
  }

  private stepFrom(type: MessageType, from: NodeId, reject = false): void {
    const message = newMessage(type, NONE);
    message.from = from;
    message.reject = reject;
    this.raft.step(message);
  }

  /**
   * Founds a group: the log starts with one committed entry per peer that adds it. Every founding
   * member has to do the same with the same peers. Throws `RaftError` 'bootstrap-refused'.
   */
  bootstrap(peers: readonly Peer[]): void {
    const { raft } = this;
    if (peers.length === 0) {
      throw new RaftError(
        RaftErrorCode.BootstrapRefused,
        'must provide at least one peer to bootstrap',
      );
    }
    if (raft.log.lastIndex() !== 0) {
      throw new RaftError(
        RaftErrorCode.BootstrapRefused,
        'can not bootstrap a storage that is not empty',
      );
    }
    // The first batch has to make all of this durable.
    this.previousHardState = EMPTY_HARD_STATE;
    raft.becomeFollower(1, NONE);
    const changes = peers.map(({ id, context }): ConfChange => ({
      type: ConfChangeType.AddNode,
      nodeId: id,
      context: context ?? NO_BYTES,
    }));
    raft.log.append(
      changes.map((change, at) => ({
        term: 1,
        index: at + 1,
        type: EntryType.ConfChange,
        data: encodeConfChange(change),
      })),
    );
    raft.log.committed = peers.length;
    // Effective at once, so that the caller can campaign; applying the entries again is harmless.
    for (const change of changes) applyConfChange(raft, change);
  }

  /** True if `ready()` would return something to do. */
  hasReady(): boolean {
    const { raft, previousHardState: hard, previousSoftState: soft } = this;
    if (raft.lead !== soft.lead || raft.state !== soft.state) return true;
    const { log } = raft;
    if (raft.term !== hard.term || raft.vote !== hard.vote || log.committed !== hard.commit) {
      return true;
    }
    return (
      raft.messages.length > 0 ||
      raft.messagesAfterAppend.length > 0 ||
      raft.readStates.length > 0 ||
      log.unstable.nextSnapshot() !== undefined ||
      log.unstable.hasNextEntries() ||
      log.hasNextCommittedEntries(this.mayApplyUnstable())
    );
  }

  /** Hands out what there is to do; the driver must do it (see the head of this file). */
  ready(): Ready {
    const { raft } = this;
    const { log } = raft;
    const hardState = raft.hardState();
    const previous = this.previousHardState;
    const hardStateChanged = !hardStatesEqual(hardState, previous) && !isEmptyHardState(hardState);
    const softState = this.changedSoftState();
    const entries = log.unstable.nextEntries();
    const snapshot = log.unstable.nextSnapshot();
    const committedEntries = log.nextCommittedEntries(this.mayApplyUnstable());
    const ready: ReadyDraft = {
      softState,
      hardState: hardStateChanged ? hardState : undefined,
      readStates: raft.readStates.length === 0 ? NO_READ_STATES : raft.readStates,
      entries,
      snapshot,
      committedEntries,
      messages: raft.messages.length === 0 ? NO_MESSAGES : raft.messages,
      mustSync: mustSync(hardState, previous.term, previous.vote, entries.length),
    };
    if (this.asyncStorageWrites) this.addLocalMessages(ready);
    else this.addMessagesAfterAppend(ready);
    this.accept(ready);
    return ready;
  }

  private changedSoftState(): SoftState | undefined {
    const { lead, state } = this.raft;
    const previous = this.previousSoftState;
    return lead === previous.lead && state === previous.state ? undefined : { lead, state };
  }

  /** Notes what is handed out, so that it is not handed out again. */
  private accept(ready: Ready): void {
    const { raft } = this;
    if (ready.softState !== undefined) this.previousSoftState = ready.softState;
    if (ready.hardState !== undefined) this.previousHardState = ready.hardState;
    if (ready.readStates.length > 0) raft.readStates = [];
    if (raft.messages.length > 0) raft.messages = [];
    if (raft.messagesAfterAppend.length > 0) raft.messagesAfterAppend = [];
    raft.log.unstable.acceptInProgress();
    raft.log.acceptApplying(ready.committedEntries, this.mayApplyUnstable());
  }

  /** Adds the work for the local log writer and state machine. */
  private addLocalMessages(ready: ReadyDraft): void {
    const { raft } = this;
    const needsAppend = needsAppendMessage(raft, ready);
    const needsApply = ready.committedEntries.length > 0;
    if (!needsAppend && !needsApply) return;
    if (needsAppend) raft.messages.push(appendMessage(raft, ready));
    if (needsApply) raft.messages.push(applyMessage(raft, ready.committedEntries));
    ready.messages = raft.messages;
  }

  /** Adds what may be sent once the batch is stored; what is for this replica waits for `advance`. */
  private addMessagesAfterAppend(ready: ReadyDraft): void {
    const { raft } = this;
    if (this.stepsOnAdvance.length > 0) {
      panic(raft.logger, 'ready() was called again before advance()');
    }
    for (const message of raft.messagesAfterAppend) {
      if (message.to === raft.id) this.stepsOnAdvance.push(message);
      else raft.messages.push(message);
    }
    if (raft.messages.length > 0) ready.messages = raft.messages;
    if (needsAppendResponse(raft, ready)) {
      this.stepsOnAdvance.push(appendResponse(raft, ready.snapshot));
    }
    if (ready.committedEntries.length > 0) {
      this.stepsOnAdvance.push(applyResponse(raft, ready.committedEntries));
    }
  }

  /** Synchronous mode: the last batch is stored, sent and applied. */
  advance(): void {
    if (this.asyncStorageWrites) {
      panic(this.raft.logger, 'advance must not be called with async storage writes');
    }
    const steps = this.stepsOnAdvance;
    if (steps.length === 0) return;
    this.stepsOnAdvance = [];
    for (const message of steps) this.raft.step(message);
  }

  /** Entries that are not stored here may be applied only when storing comes first anyway. */
  private mayApplyUnstable(): boolean {
    return !this.asyncStorageWrites;
  }

  isLeader(): boolean {
    return this.raft.state === StateType.Leader;
  }

  basicStatus(): BasicStatus {
    return basicStatus(this.raft);
  }

  /** Configuration and, on the leader, a copy of what each member is known to have. */
  status(): Status {
    return status(this.raft);
  }
}
