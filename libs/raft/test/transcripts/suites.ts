/**
 * Which folder of transcripts is replayed by which handler, and how a whole directory is judged.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { newConfChangeHandler } from './confchange.js';
import { replay, type DirectiveHandler, type ReplayResult } from './datadriven.js';
import { newInteractionHandler } from './interaction.js';
import { newQuorumHandler } from './quorum.js';

/** A handler keeps the state of one file. */
const SUITES: Readonly<Record<string, () => DirectiveHandler>> = {
  quorum: newQuorumHandler,
  confchange: newConfChangeHandler,
  interaction: newInteractionHandler,
};

export const SUITE_NAMES = Object.keys(SUITES);

export interface FileResult extends ReplayResult {
  /** `suite/file.txt`. */
  readonly name: string;
}

/** Paths of all transcripts below a directory laid out like the recorded ones. */
export function transcriptsBelow(root: string): string[] {
  return SUITE_NAMES.filter((suite) => existsSync(join(root, suite))).flatMap((suite) =>
    readdirSync(join(root, suite))
      .filter((file) => file.endsWith('.txt'))
      .sort()
      .map((file) => `${suite}/${file}`),
  );
}

export function replayTranscript(root: string, name: string): FileResult {
  const newHandler = SUITES[name.split('/')[0] ?? ''];
  if (!newHandler) throw new Error(`${name}: not in one of ${SUITE_NAMES.join(', ')}`);
  return { name, ...replay(readFileSync(join(root, name), 'utf8'), newHandler()) };
}
