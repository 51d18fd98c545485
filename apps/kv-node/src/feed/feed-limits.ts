/** The bounds of what gateways are told. */

/** Logs that may be followed at a time; each costs a waiter, and a message while one is sent. */
export const LOG_STREAMS_MAX = 16_384;
/** Gateways that may watch the tables at a time. */
export const TABLE_WATCHES_MAX = 256;
/** Tables and nodes in one message. */
export const WATCH_ROWS_MAX = 1_000;
/** A node that does not hear of the catalog any more is found out after so long. */
export const CATALOG_CHECK_MS = 10_000;
/** Commands in a message, unless the caller wants less. */
export const LOG_CHUNK_BYTES = 256 * 1024;
/** Pairs in a message, unless the caller wants less. */
export const TABLE_CHUNK_BYTES = 256 * 1024;
/**
 * How long whoever reads whole tables rests behind each turn: as long as a chunk takes, so that a backup or a snapshot
 * leaves about half of the loop to others, however many are made.
 */
export const BULK_REST_MS = 1;
/** More is not sent in one message, whatever the caller wants. */
export const CHUNK_BYTES_MAX = 1024 * 1024;
/** How long the table's leader may take to say what is committed. */
export const BARRIER_TIMEOUT_MS = 5_000;
