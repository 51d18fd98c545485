/**
 * Where the core tells what it does: one method a level, each taking a text that is made on demand.
 *
 * A logger that drops a level must not call the function it is given, so that a dropped line costs
 * no formatting. A logger must not throw and must not call back into the replica.
 */
import type { NodeId } from './types.js';

export type LazyText = () => string;

export interface Logger {
  debug(text: LazyText): void;
  info(text: LazyText): void;
  warning(text: LazyText): void;
  error(text: LazyText): void;
  /** Told just before a broken invariant is thrown. */
  fatal(text: LazyText): void;
}

function drop(): void {
  // Nothing is kept: this is the logger of those who did not ask for one.
}

export const SILENT_LOGGER: Logger = {
  debug: drop,
  info: drop,
  warning: drop,
  error: drop,
  fatal: drop,
};

/** Node ids appear in hexadecimal in every log line. */
export function hex(id: NodeId): string {
  return id.toString(16);
}
