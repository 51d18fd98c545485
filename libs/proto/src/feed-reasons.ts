/**
 * Why `flotilla.replication.v1.Feed` refuses to read a table, for programs.
 *
 * In: the trailing metadata of a call that ended in FAILED_PRECONDITION. Out: one of a few words. The text
 * beside it is for people and may change; a refusal without a word has another cause.
 */

/** Name of the trailer. */
export const FEED_REASON = 'flotilla-reason';

export const FEED_REASONS = {
  /** The table has another history than the one that was asked for. */
  otherEpoch: 'other-epoch',
  /** The revision was given up; or what changed since it, which is more than is kept. */
  revisionGone: 'revision-gone',
  /** The revision is not there yet. */
  revisionAhead: 'revision-ahead',
} as const;

export type FeedReason = (typeof FEED_REASONS)[keyof typeof FEED_REASONS];

const KNOWN: ReadonlySet<unknown> = new Set(Object.values(FEED_REASONS));

/** Undefined if none is told, or one that is not known here. */
export function feedReasonOf(
  metadata: Readonly<Record<string, unknown>> | undefined,
): FeedReason | undefined {
  const told = metadata?.[FEED_REASON];
  const reason: unknown = Array.isArray(told) ? told[0] : told;
  return KNOWN.has(reason) ? (reason as FeedReason) : undefined;
}
