/**
 * The settings of one replica: what has to be said, what has a default, and what is refused.
 *
 * Comes in as `RaftConfig`, goes out as `Settings` in which every field has a value. Refuses
 * contradictions with `RaftError` 'config-invalid'; never changes its input.
 */
import { RaftError, RaftErrorCode } from './errors.js';
import { SILENT_LOGGER, type Logger } from './logger.js';
import type { Storage } from './storage.js';
import {
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  LOG_START,
  NONE,
  type LogIndex,
  type LogEnd,
  type NodeId,
} from './types.js';

/** "No limit", for every setting that is a number of bytes or messages. */
export const NO_LIMIT = Number.POSITIVE_INFINITY;

/** Messages in flight to one follower, unless the configuration says otherwise. */
export const DEFAULT_INFLIGHT_MESSAGES_MAX = 256;

/** How the leader makes sure that it still leads before it answers a read. */
export type ReadOnlyOption =
  /** One round of heartbeats to a quorum. */
  | 'safe'
  /** Trusts its lease; needs `checkQuorum` and clocks that advance at a similar pace. */
  | 'lease-based';

export interface RaftConfig {
  /** This replica; not 0. */
  readonly id: NodeId;
  /** Ticks without a leader before an election, at least; the real number is in [T, 2T). */
  readonly electionTicks: number;
  /** Ticks between two heartbeats of a leader; fewer than `electionTicks`. */
  readonly heartbeatTicks: number;
  readonly storage: Storage;
  /** Source of election timeouts: a number in [0, 1). */
  readonly random: () => number;
  /** Last index the state machine holds already; entries up to it are not handed out again. */
  readonly applied?: LogIndex;
  /** Work for the log and the state machine is handed out as messages; `advance` is not used. */
  readonly asyncStorageWrites?: boolean;
  /** Entries of one append message. 0: one entry a message. */
  readonly messageBytesMax?: number;
  /** Committed entries handed out and not yet reported as applied. */
  readonly committedBytesMax?: number;
  /** Payloads in the leader's log that are not applied yet; more is refused. */
  readonly uncommittedBytesMax?: number;
  /** Appends in flight to one follower, in messages. */
  readonly inflightMessagesMax?: number;
  /** Appends in flight to one follower, in bytes. 0: no limit. */
  readonly inflightBytesMax?: number;
  /** A leader that does not hear from a quorum steps down; votes are refused during a lease. */
  readonly checkQuorum?: boolean;
  /** Ask for votes without raising the term first. */
  readonly preVote?: boolean;
  readonly readOnlyOption?: ReadOnlyOption;
  /** A follower drops proposals instead of passing them to the leader. */
  readonly disableProposalForwarding?: boolean;
  /** Let membership changes enter the log although they do not fit the active configuration. */
  readonly disableConfChangeValidation?: boolean;
  /** A leader that was removed or became a learner steps down at once. */
  readonly stepDownOnRemoval?: boolean;
  /**
   * Where the log ended that this replica gave up when it left the group. Others may have counted on
   * it for what they committed: until its log is there again it does not stand for election, and it
   * never votes for a candidate whose log is not.
   */
  readonly voteFloor?: LogEnd;
  readonly logger?: Logger;
}

export type Settings = Required<RaftConfig>;

/** Fills in the defaults; throws `RaftError` 'config-invalid'. */
export function resolveConfig(config: RaftConfig): Settings {
  const committedBytesMax = config.committedBytesMax ?? config.messageBytesMax ?? NO_LIMIT;
  const settings: Settings = {
    id: config.id,
    electionTicks: config.electionTicks,
    heartbeatTicks: config.heartbeatTicks,
    storage: config.storage,
    random: config.random,
    applied: config.applied ?? 0,
    asyncStorageWrites: config.asyncStorageWrites ?? false,
    messageBytesMax: config.messageBytesMax ?? NO_LIMIT,
    committedBytesMax: committedBytesMax === 0 ? 1 : committedBytesMax,
    uncommittedBytesMax: config.uncommittedBytesMax ?? NO_LIMIT,
    inflightMessagesMax: config.inflightMessagesMax ?? DEFAULT_INFLIGHT_MESSAGES_MAX,
    inflightBytesMax: config.inflightBytesMax ?? 0,
    checkQuorum: config.checkQuorum ?? false,
    preVote: config.preVote ?? false,
    readOnlyOption: config.readOnlyOption ?? 'safe',
    disableProposalForwarding: config.disableProposalForwarding ?? false,
    disableConfChangeValidation: config.disableConfChangeValidation ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
    voteFloor: config.voteFloor ?? LOG_START,
    logger: config.logger ?? SILENT_LOGGER,
  };
  const reason = whyInvalid(settings);
  if (reason !== undefined) throw new RaftError(RaftErrorCode.ConfigInvalid, reason);
  return settings;
}

function whyInvalid(s: Settings): string | undefined {
  if (s.id === NONE) return 'cannot use none as id';
  if (s.id === LOCAL_APPEND_THREAD || s.id === LOCAL_APPLY_THREAD) {
    return 'cannot use a local storage thread as id';
  }
  if (!(s.heartbeatTicks > 0)) return 'heartbeat ticks must be greater than 0';
  if (!(s.electionTicks > s.heartbeatTicks)) {
    return 'election ticks must be greater than heartbeat ticks';
  }
  if (!(s.inflightMessagesMax > 0)) return 'max inflight messages must be greater than 0';
  if (s.inflightBytesMax !== 0 && s.inflightBytesMax < s.messageBytesMax) {
    return 'max inflight bytes must be at least max message bytes';
  }
  if (s.readOnlyOption === 'lease-based' && !s.checkQuorum) {
    return 'check quorum must be enabled when the read only option is lease-based';
  }
  return undefined;
}
