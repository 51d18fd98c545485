/**
 * Does the same to many things, some at a time.
 *
 * In: the things, how many at once. Out: what each became, in their order. The first failure aborts
 * what still runs, and is thrown once all of it has ended: nothing goes on behind the caller's back.
 */

export async function inParallel<T, R>(
  things: readonly T[],
  atOnce: number,
  signal: AbortSignal,
  one: (thing: T, signal: AbortSignal) => Promise<R>,
): Promise<readonly R[]> {
  const failing = new AbortController();
  const either = AbortSignal.any([signal, failing.signal]);
  const results: R[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (;;) {
      const at = next++;
      const thing = things[at];
      if (thing === undefined || either.aborted) return;
      try {
        results[at] = await one(thing, either);
      } catch (error) {
        failures.push(error);
        failing.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, things.length) }, work));
  if (failures.length > 0) throw failures[0];
  signal.throwIfAborted();
  return results;
}
