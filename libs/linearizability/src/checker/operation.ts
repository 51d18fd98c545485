/**
 * What is judged and against what: operations of a recorded history, and the sequential object that
 * they claim to have used.
 *
 * Times are numbers of any unit and origin, only their order counts. An operation that returned took
 * effect once, at some instant from its call to its return. One whose outcome nobody knows has
 * `return: Infinity`: it took effect at some instant after its call, or never.
 */
export interface Operation<I, O> {
  /** Who asked; only shown, never judged by. */
  readonly client: number;
  readonly input: I;
  readonly output: O;
  readonly call: number;
  readonly return: number;
}

/** A sequential object. States are values: a step gives a new one and leaves the old one alone. */
export interface Model<S, I, O> {
  readonly name: string;
  init(): S;
  /** The state after an operation with this output; undefined if it cannot have had that output. */
  step(state: S, input: I, output: O): S | undefined;
  /** Whether two states are the same; `Object.is` if left out. */
  same?(one: S, other: S): boolean;
  /** The same for same states. A good one makes the search fast; none is needed for it to be right. */
  hash?(state: S): string | number;
  /** One operation in a few words, for reports. */
  describe?(input: I, output: O): string;
  describeState?(state: S): string;
  /** None is needed for a verdict to be right; without it many lost answers make it slow. */
  readonly lost?: LostOperations<S, I, O>;
}

/** What a model knows of its operations of unknown outcome, so that fewer orders need a look. */
export interface LostOperations<S, I, O> {
  /** The same only for operations that are alike: the earliest of them is as good as any. */
  likeness(input: I, output: O): string;
  /** Whether nothing shows, after it, if others of unknown outcome came right before it. */
  isBlind(input: I): boolean;
  /** What `offers` must give for a state to allow it; undefined if any state may. */
  needs(input: I): string | undefined;
  offers(state: S): string;
}

export type Verdict =
  | 'linearizable'
  | 'not-linearizable'
  /** A bound of the search was reached first. */
  | 'unknown';

export interface CheckOptions {
  /** How many steps of the model may be tried. */
  readonly stepsMax?: number;
  /** How many configurations may be remembered: what bounds the memory. */
  readonly configurationsMax?: number;
}

/** How far a history could be explained, at best. */
export interface LongestOrder<S, I, O> {
  /** In this order, with these outputs, from the first state of the model. */
  readonly linearized: readonly Operation<I, O>[];
  /** The state after them. */
  readonly state: S;
  /** One of these would have to come next, by the times of the calls; none of them can. */
  readonly stuck: readonly Operation<I, O>[];
}

export interface CheckResult<S, I, O> {
  readonly verdict: Verdict;
  /** Steps of the model that were tried. */
  readonly steps: number;
  /** How many operations there were, those of unknown outcome included. */
  readonly operations: number;
  readonly longest: LongestOrder<S, I, O>;
}

/** A history that is none, or a file that does not hold one. */
export class HistoryError extends Error {
  readonly code = 'HISTORY_MALFORMED';
  readonly retryable = false;

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'HistoryError';
  }
}
