/**
 * Makes the core of a group from what is on disk: its log, and the applied index of its state.
 *
 * The state machine may be ahead of what the log says is committed (commit indexes are written
 * lazily), and ahead of the stored configuration; both are made good here. A log that ends before
 * the applied index lost entries: that is refused, never repaired. A crash in the middle of taking a
 * snapshot over is finished by `completeInstall` before.
 */
import {
  EMPTY_HARD_STATE,
  EntryType,
  RawNode,
  confChangeFromEntry,
  isEmptyHardState,
  type HardState,
  type LogIndex,
  type NodeId,
  type SnapshotMetadata,
  type Storage,
} from '../core/index.js';
import type { GroupLog } from '../log-store/index.js';
import type { HostOptions } from './options.js';
import type { GroupId, StateMachine } from './ports.js';

/**
 * Finishes what a crash cut short between the two halves of taking a snapshot over: the engine uses
 * the new state, or the log begins after it, but not both yet. Returns what the log still has to be
 * given, undefined if nothing.
 */
export function completeInstall(
  log: GroupLog,
  machine: StateMachine<unknown>,
): SnapshotMetadata | undefined {
  const { slots } = machine;
  if (!slots) return undefined;
  const staged = slots.staged();
  if (staged && staged.index > machine.appliedIndex && staged.index === log.firstIndex() - 1) {
    slots.install();
    return undefined;
  }
  const installed = slots.installed();
  if (installed?.index !== machine.appliedIndex) return undefined;
  const { index, term } = installed;
  if (index < log.firstIndex() - 1) return undefined;
  return index > log.lastIndex() || log.term(index) !== term ? installed : undefined;
}

/** Throws when log and state contradict each other. `peers` found the group if its log is empty. */
export function recoverGroup(
  id: GroupId,
  log: GroupLog,
  applied: LogIndex,
  peers: readonly NodeId[],
  options: HostOptions,
  ports: { readonly random: () => number },
): RawNode {
  if (log.lastIndex() < applied) {
    throw new Error(
      `group ${id}: the state holds entry ${applied}, but the log ends at ${log.lastIndex()}: ` +
        'log files are missing or were replaced; restore them, or start with an empty data folder',
    );
  }
  if (log.firstIndex() > applied + 1) {
    throw new Error(
      `group ${id}: the state holds entry ${applied}, but the log begins at ${log.firstIndex()}: ` +
        'the data of the state machine is missing or was replaced; restore it',
    );
  }
  const node = new RawNode({
    id: options.nodeId,
    electionTicks: options.electionTicks,
    heartbeatTicks: options.heartbeatTicks,
    storage: committedUpTo(log, applied),
    applied,
    random: ports.random,
    asyncStorageWrites: true,
    messageBytesMax: options.messageBytesMax,
    committedBytesMax: options.applyBytesMax,
    uncommittedBytesMax: options.uncommittedBytesMax,
    inflightMessagesMax: options.inflightMessagesMax,
    checkQuorum: true,
    preVote: true,
    disableProposalForwarding: true,
    stepDownOnRemoval: true,
    voteFloor: log.voteFloor(),
  });
  if (!isFresh(log)) replayConfChanges(node, log, applied);
  // A replica that joins later begins with nothing: its leader tells it who belongs to the group.
  else if (peers.length > 0) node.bootstrap(peers.map((peer) => ({ id: peer })));
  return node;
}

function isFresh(log: GroupLog): boolean {
  return log.lastIndex() === 0 && isEmptyHardState(log.initialState().hardState);
}

/** What is applied was committed, even if the log was not told so before the crash. */
function committedUpTo(log: GroupLog, applied: LogIndex): Storage {
  return {
    initialState: () => {
      const { hardState, confState } = log.initialState();
      const commit = Math.max(hardState.commit, applied);
      return { hardState: withCommit(hardState, commit), confState };
    },
    entries: (lo, hi, maxBytes) => log.entries(lo, hi, maxBytes),
    term: (index) => log.term(index),
    lastIndex: () => log.lastIndex(),
    firstIndex: () => log.firstIndex(),
    snapshot: () => log.snapshot(),
  };
}

function withCommit(hardState: HardState, commit: LogIndex): HardState {
  return commit === hardState.commit ? hardState : { ...EMPTY_HARD_STATE, ...hardState, commit };
}

/** Membership changes that were applied after the configuration was last stored. */
function replayConfChanges(node: RawNode, log: GroupLog, applied: LogIndex): void {
  const from = Math.max(log.confStateIndex() + 1, log.firstIndex());
  for (let index = from; index <= applied;) {
    const entries = log.entries(index, applied + 1, REPLAY_BYTES_MAX);
    for (const entry of entries) {
      if (entry.type === EntryType.Normal) continue;
      node.applyConfChange(confChangeFromEntry(entry));
    }
    index += entries.length;
  }
}

const REPLAY_BYTES_MAX = 4 * 1024 * 1024;
