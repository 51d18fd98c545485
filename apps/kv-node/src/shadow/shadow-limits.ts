/** The bounds of tables that are filled out of sight. */

/** A Fill as a whole: the largest request that a leader cluster takes, and what goes with it. */
export const FILL_BYTES_MAX = 4 * 1024 * 1024 + 64 * 1024;
/** What is kept with a batch, to go on from. */
export const NOTE_BYTES_MAX = 64 * 1024;
/** Commands in a Fill, those in sequences included: each is applied before the loop goes on. */
export const FILL_COMMANDS_MAX = 16_384;
export const PURPOSE_BYTES_MAX = 255;
/** One that nobody has begun or filled for so long is dropped. */
export const IDLE_MS_MAX = 24 * 60 * 60_000;
/** That it is filled is noted in the catalog no more often than this. */
export const NOTED_EVERY_MS = 60 * 60_000;
/**
 * How many writes a table may still take between the look at its revision and its end: revisions go on
 * above that in the table that replaces it.
 */
export const LAST_WRITES_MAX = 1_000_000;
/** How often a lost race is tried again before the caller is told to come back. */
export const ATTEMPTS_MAX = 32;
/** A completion waits for two groups, the catalog, and the nodes of the table that was there. */
export const COMPLETE_TIMEOUT_MS = 30_000;
