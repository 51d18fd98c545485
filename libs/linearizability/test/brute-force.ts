/**
 * Linearizability by its definition: every order of every subset is tried.
 *
 * It shares no code with the checker and remembers nothing, so it is slow, obvious, and a judge of it.
 */
import { type Model, type Operation } from '../src/checker/operation.js';

export function hasOrder<S, I, O>(
  model: Model<S, I, O>,
  operations: readonly Operation<I, O>[],
): boolean {
  const isDone = (rest: readonly Operation<I, O>[]) =>
    rest.every((operation) => operation.return === Infinity);
  const search = (state: S, rest: readonly Operation<I, O>[]): boolean =>
    isDone(rest) ||
    rest.some((operation) => {
      if (rest.some((other) => other.return < operation.call)) return false;
      const next = model.step(state, operation.input, operation.output);
      if (next === undefined) return false;
      return search(
        next,
        rest.filter((other) => other !== operation),
      );
    });
  return search(model.init(), operations);
}
