/**
 * A history over many keys, judged key by key: it is linearizable exactly if the part of each key is
 * (Herlihy and Wing 1990), and small parts are searched far faster than the whole.
 *
 * In: a model of ONE key, and the key of each operation. Out: one verdict, and the first key that
 * breaks it. All keys are tried with few steps before any gets many: one key without an order decides
 * all, and is often found at once while another would take minutes. It must never be used where one
 * operation touches several keys.
 */
import { STEPS_MAX_DEFAULT, checkLinearizable } from './check-linearizable.js';
import { type CheckOptions, type CheckResult, type Model, type Operation } from './operation.js';

/** Steps that a key gets in the first round, and how many times more in each further one. */
const FIRST_STEPS_MAX = 50_000;
const BOUND_GROWTH = 16;

export interface KeyedResult<S, I, O> {
  readonly verdict: CheckResult<S, I, O>['verdict'];
  readonly steps: number;
  readonly keys: number;
  /** A key that has no order; the others were not looked at any further. */
  readonly violation?: { readonly key: string; readonly result: CheckResult<S, I, O> };
  /** Keys at which a bound of the search was reached. Bounds hold for each key. */
  readonly undecided: readonly string[];
}

export function checkByKey<S, I, O>(
  model: Model<S, I, O>,
  operations: readonly Operation<I, O>[],
  keyOf: (operation: Operation<I, O>) => string,
  options: CheckOptions = {},
): KeyedResult<S, I, O> {
  const parts = new Map<string, Operation<I, O>[]>();
  for (const operation of operations) {
    const key = keyOf(operation);
    const part = parts.get(key);
    if (part === undefined) parts.set(key, [operation]);
    else part.push(operation);
  }
  let undecided = [...parts];
  let steps = 0;
  const stepsMax = options.stepsMax ?? STEPS_MAX_DEFAULT;
  for (let bound = Math.min(FIRST_STEPS_MAX, stepsMax); ; bound = nextBound(bound, stepsMax)) {
    const left: typeof undecided = [];
    for (const [key, part] of undecided) {
      const result = checkLinearizable(model, part, { ...options, stepsMax: bound });
      steps += result.steps;
      if (result.verdict === 'unknown') left.push([key, part]);
      if (result.verdict === 'not-linearizable') {
        const violation = { key, result };
        return { verdict: result.verdict, steps, keys: parts.size, violation, undecided: [] };
      }
    }
    undecided = left;
    if (undecided.length === 0 || bound === stepsMax) break;
  }
  return {
    verdict: undecided.length === 0 ? 'linearizable' : 'unknown',
    steps,
    keys: parts.size,
    undecided: undecided.map(([key]) => key),
  };
}

function nextBound(bound: number, stepsMax: number): number {
  return Math.min(bound * BOUND_GROWTH, stepsMax);
}
