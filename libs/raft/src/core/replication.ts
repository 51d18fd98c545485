/**
 * The leader's side of replication: its own log, appends, snapshots, heartbeats, the commit index.
 *
 *   proposal -> own log -> append messages within each follower's window -> answers -> commit
 *
 * Decides what is sent to whom; never stores anything. What a follower is known to have is in its
 * `Progress`, which only this file and step-leader change.
 */
import { panic } from './errors.js';
import { payloadBytes } from './entry-size.js';
import { hex } from './logger.js';
import { newMessage } from './message.js';
import type { Raft } from './raft.js';
import { StateType } from './ready.js';
import { StorageError } from './storage.js';
import type { Progress } from './tracker/progress.js';
import {
  MessageType,
  NONE,
  type Entry,
  type MessageType as MessageTypeValue,
  type NodeId,
  type Snapshot,
} from './types.js';

/** A tick of the leader. */
export function tickHeartbeat(raft: Raft): void {
  raft.heartbeatElapsed++;
  raft.electionElapsed++;
  if (raft.electionElapsed >= raft.settings.electionTicks) {
    raft.electionElapsed = 0;
    if (raft.settings.checkQuorum) stepLocal(raft, MessageType.CheckQuorum);
    // A transfer that takes longer than an election timeout has failed.
    if (raft.leadTransferee !== NONE) raft.abortLeaderTransfer();
  }
  if (raft.state !== StateType.Leader) return;
  if (raft.heartbeatElapsed >= raft.settings.heartbeatTicks) {
    raft.heartbeatElapsed = 0;
    stepLocal(raft, MessageType.Beat);
  }
}

function stepLocal(raft: Raft, type: MessageTypeValue): void {
  const message = newMessage(type, NONE);
  message.from = raft.id;
  raft.step(message);
}

/**
 * Gives entries this leader's term and the next indexes and appends them to its log. False if
 * that would exceed the limit on uncommitted payload.
 */
export function appendEntries(raft: Raft, entries: readonly Entry[]): boolean {
  if (!increaseUncommittedBytes(raft, entries)) {
    raft.logger.warning(
      () =>
        `${hex(raft.id)} appending new entries to log would exceed uncommitted entry size limit; ` +
        'dropping proposal',
    );
    return false;
  }
  const { term, log } = raft;
  let index = log.lastIndex();
  const own = entries.map(({ type, data }) => ({ term, index: ++index, type, data }));
  log.append(own);
  // The leader counts itself like any follower: once the entries are stored.
  const stored = newMessage(MessageType.AppResp, raft.id);
  stored.index = index;
  raft.send(stored);
  return true;
}

/** An empty log tail takes any proposal, and empty payloads are always taken. */
function increaseUncommittedBytes(raft: Raft, entries: readonly Entry[]): boolean {
  const bytes = payloadBytes(entries);
  const total = raft.uncommittedBytes + bytes;
  if (raft.uncommittedBytes > 0 && bytes > 0 && total > raft.settings.uncommittedBytesMax) {
    return false;
  }
  raft.uncommittedBytes = total;
  return true;
}

/** Entries were applied. They may stem from before this term and were not counted then. */
export function reduceUncommittedBytes(raft: Raft, bytes: number): void {
  raft.uncommittedBytes = Math.max(0, raft.uncommittedBytes - bytes);
}

/** Moves the commit index to what a quorum has, if that entry is of this term. */
export function maybeCommit(raft: Raft): boolean {
  return raft.log.maybeCommit(raft.tracker.committed(), raft.term);
}

/** Appends to all followers; an empty message tells the commit index. */
export function broadcastAppend(raft: Raft): void {
  raft.tracker.visit((id) => {
    if (id !== raft.id) maybeSendAppend(raft, id, true);
  });
}

/** Sends what each follower lacks, but nothing to those that lack nothing. */
export function probeAll(raft: Raft): void {
  raft.tracker.visit((id) => {
    if (id !== raft.id) maybeSendAppend(raft, id, false);
  });
}

/**
 * Sends the next entries to `to`, or a snapshot if they are not in the log any more. Returns
 * whether anything was sent.
 */
export function maybeSendAppend(raft: Raft, to: NodeId, sendIfEmpty: boolean): boolean {
  const progress = raft.tracker.progress.get(to);
  if (progress === undefined) panic(raft.logger, `no progress for ${hex(to)}`);
  if (progress.isPaused()) return false;
  const { log, settings } = raft;
  const previous = progress.next - 1;
  const previousTerm = log.termOrUndefined(previous);
  if (previousTerm === undefined) return maybeSendSnapshot(raft, to, progress);

  // A follower whose window is full gets empty appends only: if everything in flight was lost,
  // their rejection opens the window again.
  const throttled = progress.state === 'StateReplicate' && progress.inflights.full();
  const entries = throttled ? [] : log.entriesFrom(progress.next, settings.messageBytesMax);
  if (entries === undefined) return maybeSendSnapshot(raft, to, progress);
  if (entries.length === 0 && !sendIfEmpty) return false;

  const message = newMessage(MessageType.App, to);
  message.index = previous;
  message.logTerm = previousTerm;
  message.entries = entries;
  message.commit = log.committed;
  raft.send(message);
  progress.sentEntries(entries.length, payloadBytes(entries));
  progress.sentCommitIndex(log.committed);
  return true;
}

function maybeSendSnapshot(raft: Raft, to: NodeId, progress: Progress): boolean {
  const { logger, log } = raft;
  if (!progress.recentActive) {
    logger.debug(() => `ignore sending snapshot to ${hex(to)} since it is not recently active`);
    return false;
  }
  const snapshot = takeSnapshot(raft);
  if (snapshot === undefined) {
    logger.debug(
      () =>
        `${hex(raft.id)} failed to send snapshot to ${hex(to)} because snapshot is ` +
        'temporarily unavailable',
    );
    return false;
  }
  const { index, term } = snapshot.metadata;
  if (index === 0) panic(logger, 'need non-empty snapshot');
  logger.debug(
    () =>
      `${hex(raft.id)} [firstindex: ${log.firstIndex()}, commit: ${log.committed}] sent ` +
      `snapshot[index: ${index}, term: ${term}] to ${hex(to)} [${progress.toString()}]`,
  );
  progress.becomeSnapshot(index);
  logger.debug(
    () =>
      `${hex(raft.id)} paused sending replication messages to ${hex(to)} [${progress.toString()}]`,
  );
  const message = newMessage(MessageType.Snap, to);
  message.snapshot = snapshot;
  raft.send(message);
  return true;
}

/** The newest snapshot; undefined if it has to be asked for again later. */
function takeSnapshot(raft: Raft): Snapshot | undefined {
  try {
    return raft.log.snapshot();
  } catch (error) {
    if (error instanceof StorageError && error.code === 'snapshot-temporarily-unavailable') {
      return undefined;
    }
    throw error;
  }
}

/** Heartbeats to all; they carry the newest waiting read, whose answers prove the leadership. */
export function broadcastHeartbeat(raft: Raft): void {
  broadcastHeartbeatWith(raft, raft.readOnly.lastPendingContext());
}

export function broadcastHeartbeatWith(raft: Raft, context: Uint8Array | undefined): void {
  raft.tracker.visit((id, progress) => {
    if (id === raft.id) return;
    // A follower may hold entries past its match that are not the leader's: it must not be told
    // that those are committed.
    const commit = Math.min(progress.match, raft.log.committed);
    const message = newMessage(MessageType.Heartbeat, id);
    message.commit = commit;
    message.context = context;
    raft.send(message);
    progress.sentCommitIndex(commit);
  });
}

/** Asks a follower that has the whole log to start an election at once. */
export function sendTimeoutNow(raft: Raft, to: NodeId): void {
  raft.send(newMessage(MessageType.TimeoutNow, to));
}
