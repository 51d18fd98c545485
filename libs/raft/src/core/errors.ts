/**
 * How the core says no, and how it says that the impossible happened.
 *
 * A `RaftError` is an expected end (a proposal that cannot be taken now, a message that has no
 * business here): the caller answers with it or tries again. A `RaftInvariantError` means that
 * state is damaged or the driver broke its contract; nothing may be done with the replica after it.
 */
import type { Logger } from './logger.js';

export const RaftErrorCode = {
  /** Not taken: no leader, leadership moving, too much uncommitted, or not a member any more. */
  ProposalDropped: 'proposal-dropped',
  /** A message that only the replica itself may make came from somewhere else. */
  StepLocalMessage: 'step-local-message',
  /** An answer from a replica that is not in the configuration. */
  StepPeerNotFound: 'step-peer-not-found',
  /** The settings contradict each other or are out of range. */
  ConfigInvalid: 'config-invalid',
  /** A group can be founded only once, on an empty log, with at least one peer. */
  BootstrapRefused: 'bootstrap-refused',
} as const;
export type RaftErrorCode = (typeof RaftErrorCode)[keyof typeof RaftErrorCode];

export class RaftError extends Error {
  /** True when the same call may succeed later. */
  readonly retryable: boolean;

  constructor(
    readonly code: RaftErrorCode,
    message: string,
    options: { cause?: unknown } = {},
  ) {
    super(message, options);
    this.name = 'RaftError';
    this.retryable = code === RaftErrorCode.ProposalDropped;
  }
}

export function proposalDropped(): RaftError {
  return new RaftError(RaftErrorCode.ProposalDropped, 'raft proposal dropped');
}

export class RaftInvariantError extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'RaftInvariantError';
  }
}

/** Reports a broken invariant to the log and stops; never returns. */
export function panic(logger: Logger, message: string, cause?: unknown): never {
  logger.fatal(() => message);
  throw new RaftInvariantError(message, { cause });
}
