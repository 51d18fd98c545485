/** The bounds of backups: how large, how many, how long. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** Plain bytes after which a chunk is closed. The row that crosses the line is still in it. */
export const CHUNK_BYTES_DEFAULT = 8 * MIB;
export const CHUNK_BYTES_MIN = 1024;
export const CHUNK_BYTES_MAX = 64 * MIB;
/** One record: a key of 1 KiB and a value of 2 MiB fit many times; a log entry may hold a whole transaction. */
export const RECORD_BYTES_MAX = 64 * MIB;
/** Plain bytes that a chunk may claim to hold. */
export const CHUNK_PLAIN_BYTES_MAX = CHUNK_BYTES_MAX + RECORD_BYTES_MAX;
/** Bytes of a chunk object: what does not shrink when packed is a little larger. */
export const CHUNK_OBJECT_BYTES_MAX = CHUNK_PLAIN_BYTES_MAX + MIB;

/** Chunks that one index segment tells of: what is lost at most when a run is killed. */
export const SEGMENT_CHUNKS_MAX = 64;
export const SEGMENT_OBJECT_BYTES_MAX = 4 * MIB;
export const SEGMENTS_MAX = 100_000;
export const MANIFEST_BYTES_MAX = 64 * MIB;
export const TABLES_MAX = 100_000;

/** Backups in a chain, the full one included: a restore reads them all at once. */
export const CHAIN_MAX = 32;
/** Backups that a folder may hold. */
export const BACKUPS_MAX = 100_000;
/** Tables that are read, packed and written at the same time. */
export const TABLES_AT_ONCE_MAX = 64;
export const TABLES_AT_ONCE_DEFAULT = 4;

/** A run says that it lives this often, and is taken over when it did not for so long. */
export const RUN_SIGN_MS = 10_000;
export const RUN_SILENT_MS = 60_000;
/** A cut stream of rows is opened again so often without a row in between. */
export const SOURCE_ATTEMPTS_MAX = 8;
export const SOURCE_PAUSE_MS = 250;
export const SOURCE_PAUSE_MS_MAX = 5_000;

/** Rows and bytes of one batch that a restore writes. */
export const FILL_ROWS_MAX = 5_000;
export const FILL_BYTES_MAX = 512 * KIB;

/** Bytes of commands after which a piece of a log is stored, however young it is. */
export const LOG_OBJECT_BYTES = 8 * MIB;
/** Bytes of a piece of a log: one message of entries may cross the line. */
export const LOG_OBJECT_BYTES_MAX = CHUNK_OBJECT_BYTES_MAX;
/** Entries of a piece, whatever their size. */
export const LOG_OBJECT_ENTRIES_MAX = 100_000;
/** Bytes of entries that are not stored yet, over all tables: beyond it nothing is read. */
export const LOG_HELD_BYTES_MAX = 64 * MIB;
/** Bytes of commands in one message of a followed log: what each stream may add beyond the line. */
export const LOG_MESSAGE_BYTES = 64 * 1024;
/** Logs that are followed at the same time; more tables than that take turns. */
export const LOG_STREAMS_MAX = 1_024;
/** Pieces that are packed and stored at the same time. */
export const LOG_WRITES_AT_ONCE = 4;
export const LOG_INTERVAL_MS_MIN = 1_000;
export const LOG_INTERVAL_MS_MAX = 3_600_000;
/** Between two attempts at what failed. */
export const LOG_PAUSE_MS = 250;
export const LOG_PAUSE_MS_MAX = 30_000;
/** Pieces that the log of one table in one epoch may have. */
export const LOG_OBJECTS_MAX = 2_000_000;
/** Commands of one batch that a restore writes. */
export const FILL_COMMANDS_MAX = 1_000;
/** Batches of a restore on their way: one is written to the log while the one before it is applied. */
export const FILLS_UNDERWAY_MAX = 2;
