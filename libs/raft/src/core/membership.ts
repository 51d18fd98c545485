/**
 * Changes of who belongs to the group: their proposal, their application, and what follows.
 *
 *   proposal -> (fits the active configuration? else an empty entry takes its place) -> log
 *   committed and applied by the driver -> new configuration -> maybe commit, probe, step down
 *   joint and to be left automatically -> the leader proposes the way out itself
 */
import { Changer, type ChangeResult } from './confchange/changer.js';
import { formatConfChange } from './confchange/format.js';
import {
  asV2,
  decodeConfChange,
  decodeConfChangeV2,
  enterJoint,
  leaveJoint,
  type ConfChange,
  type ConfChangeV2,
} from './confchange/types.js';
import { RaftInvariantError, panic } from './errors.js';
import { hex } from './logger.js';
import { NO_BYTES, newMessage } from './message.js';
import type { Raft } from './raft.js';
import { StateType } from './ready.js';
import { broadcastAppend, maybeCommit, probeAll } from './replication.js';
import {
  EntryType,
  MessageType,
  NONE,
  type ConfState,
  type Entry,
  type LogIndex,
  type NodeId,
  type Snapshot,
} from './types.js';

/** The membership change in an entry, which must not be a normal one. */
export function confChangeFromEntry(entry: Entry): ConfChange | ConfChangeV2 {
  switch (entry.type) {
    case EntryType.ConfChange:
      return decodeConfChange(entry.data);
    case EntryType.ConfChangeV2:
      return decodeConfChangeV2(entry.data);
    default:
      throw new RaftInvariantError(`entry ${entry.index} holds no membership change`);
  }
}

/**
 * Replaces membership changes that may not enter the log now by empty entries; the position of
 * those that may is remembered, so that the next one has to wait for it.
 */
export function screenConfChanges(raft: Raft, entries: readonly Entry[]): readonly Entry[] {
  if (entries.every((entry) => entry.type === EntryType.Normal)) return entries;
  const lastIndex = raft.log.lastIndex();
  return entries.map((entry, at) => {
    if (entry.type === EntryType.Normal) return entry;
    const change = confChangeFromEntry(entry);
    const objection = whyRefused(raft, change);
    if (objection !== undefined && !raft.settings.disableConfChangeValidation) {
      raft.logger.info(
        () =>
          `${hex(raft.id)} ignoring conf change ${formatConfChange(change)} at config ` +
          `${raft.tracker.config.toString()}: ${objection}`,
      );
      return { term: 0, index: 0, type: EntryType.Normal, data: NO_BYTES };
    }
    raft.pendingConfIndex = lastIndex + at + 1;
    return entry;
  });
}

function whyRefused(raft: Raft, change: ConfChange | ConfChangeV2): string | undefined {
  const { pendingConfIndex, log, tracker } = raft;
  const isJoint = tracker.config.voters[1].size > 0;
  const wantsLeave = asV2(change).changes.length === 0;
  if (pendingConfIndex > log.applied) {
    return `possible unapplied conf change at index ${pendingConfIndex} (applied to ${log.applied})`;
  }
  if (isJoint && !wantsLeave) return 'must transition out of joint config first';
  if (!isJoint && wantsLeave) return 'not in joint state; refusing empty conf change';
  return undefined;
}

/** Makes a committed change the active configuration; returns it for the next snapshot. */
export function applyConfChange(raft: Raft, change: ConfChange | ConfChangeV2): ConfState {
  const v2 = asV2(change);
  const changer = new Changer(raft.tracker, raft.log.lastIndex());
  if (leaveJoint(v2)) return switchToConfig(raft, changer.leaveJoint());
  const { use, autoLeave } = enterJoint(v2);
  const { changes } = v2;
  const next = use ? changer.enterJoint(autoLeave, changes) : changer.simple(changes);
  return switchToConfig(raft, next);
}

/** Activates a configuration and lets its consequences happen. */
export function switchToConfig(raft: Raft, next: ChangeResult): ConfState {
  const { tracker, logger } = raft;
  tracker.config = next.config;
  tracker.progress = next.progress;
  logger.info(() => `${hex(raft.id)} switched to configuration ${tracker.config.toString()}`);
  const confState = tracker.confState();
  const own = tracker.progress.get(raft.id);
  raft.isLearner = own?.isLearner ?? false;
  if (raft.state !== StateType.Leader) return confState;
  if (own === undefined || raft.isLearner) {
    // Removed or demoted. Without the option it goes on leading, to bring the change to everyone.
    if (raft.settings.stepDownOnRemoval) raft.becomeFollower(raft.term, NONE);
    return confState;
  }
  if (confState.voters.length === 0) return confState;
  // A smaller quorum may be satisfied already; a new member need not wait for the next heartbeat.
  if (maybeCommit(raft)) broadcastAppend(raft);
  else probeAll(raft);
  if (raft.leadTransferee !== NONE && !tracker.voterNodes().includes(raft.leadTransferee)) {
    raft.abortLeaderTransfer();
  }
  return confState;
}

/** The driver applied entries up to `index`; `bytes` is what was handed out for it. */
export function appliedTo(raft: Raft, index: LogIndex, bytes: number): void {
  const applied = Math.max(index, raft.log.applied);
  raft.log.appliedTo(applied, bytes);
  if (
    raft.tracker.config.autoLeave &&
    applied >= raft.pendingConfIndex &&
    raft.state === StateType.Leader
  ) {
    leaveJointAutomatically(raft);
  }
}

/** An empty change leaves the joint configuration; it is never too large to be taken. */
function leaveJointAutomatically(raft: Raft): void {
  const { logger } = raft;
  const message = newMessage(MessageType.Prop, NONE);
  message.entries = [{ term: 0, index: 0, type: EntryType.ConfChangeV2, data: NO_BYTES }];
  const describeConfig = () => raft.tracker.config.toString();
  try {
    raft.step(message);
  } catch (error) {
    // A transfer of leadership is under way: the next applied entry tries again.
    const reason = error instanceof Error ? error.message : String(error);
    logger.debug(
      () =>
        'not initiating automatic transition out of joint configuration ' +
        `${describeConfig()}: ${reason}`,
    );
    return;
  }
  logger.info(
    () => `initiating automatic transition out of joint configuration ${describeConfig()}`,
  );
}

/** The driver stored a snapshot and made it its state. */
export function appliedSnapshot(raft: Raft, snapshot: Snapshot): void {
  const { index } = snapshot.metadata;
  raft.log.unstable.stableSnapshotTo(index);
  appliedTo(raft, index, 0);
}

/** A configuration that was restored has to be the one that was asked for. */
export function assertSameConfState(raft: Raft, wanted: ConfState, got: ConfState): void {
  const same =
    sameIds(wanted.voters, got.voters) &&
    sameIds(wanted.learners, got.learners) &&
    sameIds(wanted.votersOutgoing, got.votersOutgoing) &&
    sameIds(wanted.learnersNext, got.learnersNext) &&
    wanted.autoLeave === got.autoLeave;
  if (!same) {
    panic(
      raft.logger,
      `ConfStates not equivalent after restoring: ${JSON.stringify(wanted)} and ` +
        JSON.stringify(got),
    );
  }
}

function sameIds(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  if (a.length !== b.length) return false;
  const ids = new Set(a);
  return b.every((id) => ids.has(id));
}
