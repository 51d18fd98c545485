/**
 * Why a group could not do what it was asked.
 *
 * `retryable` says that the same call may succeed later; it does not say that the first one had no
 * effect: a proposal that timed out may still be committed (`outcomeUnknown`).
 */
export const HostErrorCode = {
  /** There is no such group on this node. */
  GroupNotFound: 'group-not-found',
  /** The group was stopped while the call waited. */
  GroupClosed: 'group-closed',
  /** The group has no leader now, or this replica is not it. */
  NotReady: 'not-ready',
  /** Too much waits already. */
  Busy: 'busy',
  /** The deadline passed. */
  Timeout: 'timeout',
  /** Another leader's entry took the place of the proposal. */
  Aborted: 'aborted',
  /** One proposal is larger than all that may wait. */
  TooLarge: 'too-large',
  /** The node is stopping, or its log failed. */
  Closed: 'closed',
} as const;
export type HostErrorCode = (typeof HostErrorCode)[keyof typeof HostErrorCode];

const FINAL: ReadonlySet<HostErrorCode> = new Set([
  HostErrorCode.GroupNotFound,
  HostErrorCode.TooLarge,
]);

const OUTCOME_UNKNOWN: ReadonlySet<HostErrorCode> = new Set([
  HostErrorCode.GroupClosed,
  HostErrorCode.Timeout,
  HostErrorCode.Closed,
]);

export class HostError extends Error {
  readonly retryable: boolean;

  constructor(
    readonly code: HostErrorCode,
    message: string,
    options: { cause?: unknown } = {},
  ) {
    super(message, options);
    this.name = 'HostError';
    this.retryable = !FINAL.has(code);
  }

  /** True when the proposal may still take effect. */
  get outcomeUnknown(): boolean {
    return OUTCOME_UNKNOWN.has(this.code);
  }
}
