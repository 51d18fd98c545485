/**
 * How large, how many and how long: the bounds of every object store.
 *
 * They are those of S3 where S3 has one, so that what is written to a folder today can be written
 * to a bucket tomorrow.
 */
const KIB = 1024;
const MIB = 1024 * KIB;

/** Of a key, in UTF-8. With `PREFIX_BYTES_MAX` it stays below the 1,024 of S3. */
export const KEY_BYTES_MAX = 768;
/** Of the prefix in front of all keys of a store, its slash included. */
export const PREFIX_BYTES_MAX = 255;

/** Every part but the last is at least so large; the file system would take smaller ones. */
export const PART_BYTES_MIN = 5 * MIB;
export const PART_BYTES_DEFAULT = 8 * MIB;
/** A part is held in memory until the store has it. */
export const PART_BYTES_MAX = 512 * MIB;
export const PART_NUMBER_MAX = 10_000;
/** Parts that are on their way at once, and so in memory at once, besides the one being filled. */
export const PARTS_IN_FLIGHT_DEFAULT = 4;
export const PARTS_IN_FLIGHT_MAX = 32;

/** Objects in one page of a list, keys in one `deleteMany`, uploads in one page. */
export const LIST_PAGE_MAX = 1_000;
export const DELETE_MANY_MAX = 1_000;
export const UPLOADS_PAGE_MAX = 1_000;

/** Of calls that were given no time of their own. A stream has it from one piece to the next. */
export const CALL_DEADLINE_MS = 60_000;
export const CALL_DEADLINE_MS_MAX = 24 * 60 * 60_000;

/** Tries of one call, the first included, and how long is waited between them. */
export const ATTEMPTS_MAX = 5;
export const BACKOFF_MS_MIN = 100;
export const BACKOFF_MS_MAX = 5_000;
