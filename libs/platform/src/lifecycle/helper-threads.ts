/**
 * V8's helper threads, which collect garbage beside the loop. Node makes four, however few processors there are;
 * where these are fewer, helpers and loop take them from each other, and reads wait. Fewer helpers free memory later,
 * which a process that takes bulk data in does not want. The number is fixed before a program begins: all that one
 * can do is to say so.
 */
import { availableParallelism } from 'node:os';

/** What Node makes where it is told nothing. */
const HELPERS_DEFAULT = 4;
const TOLD = /--v8[-_]pool[-_]size/;

/** What whoever started this process could do better; undefined if nothing. */
export function helperThreadsAdvice(
  processors = availableParallelism(),
  told: readonly string[] = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''],
): string | undefined {
  if (processors > HELPERS_DEFAULT || told.some((flag) => TOLD.test(flag))) return undefined;
  return (
    `Node has ${HELPERS_DEFAULT} helper threads on ${processors} processors: reads wait less ` +
    'where it is started with --v8-pool-size=0 (also as NODE_OPTIONS)'
  );
}
