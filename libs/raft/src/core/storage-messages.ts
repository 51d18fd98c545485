/**
 * Work for the local log writer and state machine, as messages with their answers attached.
 *
 *   1 -> append thread: store this ... and when it is stored, deliver these responses
 *   1 -> apply thread:  apply this ... and when it is applied, deliver this response
 *
 * Made from a batch and the protocol state.
 */
import { newMessage } from './message.js';
import type { Raft } from './raft.js';
import type { Ready } from './ready.js';
import {
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  MessageType,
  type Entry,
  type Message,
  type Snapshot,
} from './types.js';

/** True if something has to be stored, or if answers wait for what was handed out before. */
export function needsAppendMessage(raft: Raft, ready: Ready): boolean {
  return (
    ready.entries.length > 0 ||
    ready.hardState !== undefined ||
    ready.snapshot !== undefined ||
    raft.messagesAfterAppend.length > 0
  );
}

/** True if the protocol has to hear when the log reached the storage. */
export function needsAppendResponse(raft: Raft, ready: Ready): boolean {
  return raft.log.unstable.entries.length > 0 || ready.snapshot !== undefined;
}

/** Takes the answers that wait for the storage out of the replica's queue. */
export function appendMessage(raft: Raft, ready: Ready): Message {
  const message = newMessage(MessageType.StorageAppend, LOCAL_APPEND_THREAD);
  message.from = raft.id;
  message.entries = ready.entries;
  if (ready.hardState !== undefined) {
    // All three or none: three zeros mean that the stored hard state stays as it is.
    message.term = ready.hardState.term;
    message.vote = ready.hardState.vote;
    message.commit = ready.hardState.commit;
  }
  message.snapshot = ready.snapshot;
  // The own acknowledgement comes before the report of stability: while it is handled, the terms
  // of the new entries are still at hand.
  message.responses = takeResponses(raft, ready);
  return message;
}

/** The queue of waiting answers goes with the message: what is queued later belongs to the next. */
function takeResponses(raft: Raft, ready: Ready): readonly Message[] {
  const responses = raft.messagesAfterAppend;
  raft.messagesAfterAppend = [];
  if (needsAppendResponse(raft, ready)) responses.push(appendResponse(raft, ready.snapshot));
  return responses;
}

/**
 * Tells that the log is stored up to its present end. It carries the present term and is not
 * believed in a later one: entries could have been replaced, and replaced again by ones with the
 * first ones' index and term, while the write of the middle ones is still under way. For the same
 * reason it is sent with every write as long as anything is unstable, not only with the write that
 * held the entries: a report that was not believed is made up for by the next.
 */
export function appendResponse(raft: Raft, snapshot: Snapshot | undefined): Message {
  const { log } = raft;
  const message = newMessage(MessageType.StorageAppendResp, raft.id);
  message.from = LOCAL_APPEND_THREAD;
  message.term = raft.term;
  if (log.unstable.entries.length > 0) {
    message.index = log.lastIndex();
    message.logTerm = log.lastTerm();
  }
  message.snapshot = snapshot;
  return message;
}

/** Committed entries belong to no term: what is committed stays so. */
export function applyMessage(raft: Raft, entries: readonly Entry[]): Message {
  const message = newMessage(MessageType.StorageApply, LOCAL_APPLY_THREAD);
  message.from = raft.id;
  message.entries = entries;
  message.responses = [applyResponse(raft, entries)];
  return message;
}

export function applyResponse(raft: Raft, entries: readonly Entry[]): Message {
  const message = newMessage(MessageType.StorageApplyResp, raft.id);
  message.from = LOCAL_APPLY_THREAD;
  message.entries = entries;
  return message;
}
