/**
 * What the puller of one table does next. Pure: no IO, no clock; events in, steps out.
 *
 *   locating --position--> pulling --end of the log--> waiting --> pulling ...
 *      ^                      |--nothing of it was applied, leader failed--> waiting --> pulling
 *      |                      |--in doubt whether it was applied--> waiting --> locating
 *      |                      |--USE_SNAPSHOT--------------------> over: a snapshot is needed
 *      |                      |--another entry than the copy has--> over: a whole snapshot is needed
 *      `----------------------'--old token, other epoch, no such copy--> over
 *
 * The position is only ever what the copy has said it holds. While that is in doubt nothing is
 * pulled: an empty batch asks first, so nothing is applied twice and nothing is left out.
 */
import { type CopyPosition, type LogStart } from './ports.js';

export const PULLER_STATES = [
  'locating',
  'pulling',
  'waiting',
  'failing',
  'leader-behind',
  'missing-in-leader',
] as const;
export type PullerState = (typeof PULLER_STATES)[number];

/** Kinds of what goes wrong, as metrics and the log tell them. */
export const FAILURES = [
  'leader-unavailable',
  'leader-error',
  'leader-behind',
  'table-missing',
  'log-garbled',
  'copy-in-doubt',
  'copy-refused',
  'snapshot-failed',
  'diverged',
] as const;
export type Failure = (typeof FAILURES)[number];

export type PullerEnd = 'use-snapshot' | 'diverged' | 'lease-lost' | 'copy-gone' | 'stopped';

export type PullerStep =
  | { readonly kind: 'locate' }
  | ({ readonly kind: 'pull' } & LogStart)
  | { readonly kind: 'wait'; readonly delayMs: number }
  | { readonly kind: 'end'; readonly reason: PullerEnd };

/**
 * A table in use is polled so many times more often than an idle one, in steps as Regatta has them.
 */
const POLL_DIVISORS = [256, 64, 16, 4, 2, 1] as const;
/** Polls without a command before the next longer pause. */
const POLLS_PER_STEP = 8;
const FAILURE_PAUSE_MS = 100;
const FAILURE_PAUSE_MS_MAX = 2_000;
/** What does not heal by itself soon is asked for so many times less often than an idle table. */
const LASTING_POLLS = 10;
const LASTING_MS_MAX = 10_000;

export class PullerMachine {
  private position: CopyPosition | undefined;
  private delayMs: number | undefined;
  private end: PullerEnd | undefined;
  private emptyPolls = 0;
  private failures = 0;
  private failure: Failure | undefined;

  constructor(private readonly pollIntervalMs: number) {}

  /** Last index that the copy is known to hold; undefined while that is in doubt. */
  get copyIndex(): number | undefined {
    return this.position?.index;
  }

  get copyCheck(): bigint | undefined {
    return this.position?.check;
  }

  get lastFailure(): Failure | undefined {
    return this.failure;
  }

  get state(): PullerState {
    if (this.failure === 'leader-behind') return 'leader-behind';
    if (this.failure === 'table-missing') return 'missing-in-leader';
    if (this.failure !== undefined) return 'failing';
    if (this.position === undefined) return 'locating';
    return this.delayMs === undefined ? 'pulling' : 'waiting';
  }

  /** The same until an event changes it. */
  next(): PullerStep {
    if (this.end !== undefined) return { kind: 'end', reason: this.end };
    if (this.delayMs !== undefined) return { kind: 'wait', delayMs: this.delayMs };
    if (this.position === undefined) return { kind: 'locate' };
    const { index, check } = this.position;
    return { kind: 'pull', from: index + 1, previousCheck: check };
  }

  /** The wait that was asked for is over. */
  waited(): void {
    this.delayMs = undefined;
  }

  /** The copy has said where it stands, and nobody with an older token can move it any more. */
  located(position: CopyPosition): void {
    this.position = position;
  }

  /** The copy holds all up to there now. */
  applied(position: CopyPosition): void {
    this.position = position;
    this.emptyPolls = 0;
    this.healed();
  }

  /** A poll has told all there was when it began. */
  polled(): void {
    this.healed();
    const step = Math.floor(this.emptyPolls / POLLS_PER_STEP);
    const divisor = POLL_DIVISORS[Math.min(step, POLL_DIVISORS.length - 1)] ?? 1;
    this.emptyPolls++;
    this.delayMs = this.pollIntervalMs / divisor;
  }

  /** The leader cluster says something of the table, of its own accord. */
  heard(): void {
    if (this.position !== undefined) this.healed();
  }

  /** The log does not go back far enough, or is one of another table. */
  needsSnapshot(): void {
    this.end ??= 'use-snapshot';
  }

  /** The copy is of another history than the leader cluster: nothing of it is of use any more. */
  diverged(): void {
    this.end ??= 'diverged';
  }

  /** Others write into the copy, or it is none any more. */
  over(reason: PullerEnd): void {
    this.end ??= reason;
  }

  /** Nothing was applied that the copy has not confirmed; it goes on from its position. */
  failed(failure: Failure): void {
    this.failure = failure;
    this.failures++;
    // A batch without an answer, or with one that cannot be, leaves open where the copy stands.
    if (failure === 'copy-in-doubt' || failure === 'copy-refused') this.position = undefined;
    const pauseMs = Math.min(FAILURE_PAUSE_MS * 2 ** (this.failures - 1), FAILURE_PAUSE_MS_MAX);
    const isLasting = failure === 'leader-behind' || failure === 'table-missing';
    const lastingMs = Math.min(this.pollIntervalMs * LASTING_POLLS, LASTING_MS_MAX);
    this.delayMs = isLasting ? Math.max(pauseMs, lastingMs) : pauseMs;
  }

  private healed(): void {
    this.failures = 0;
    this.failure = undefined;
  }
}
