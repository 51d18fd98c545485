/** The bounds of what attached gateways are served, by name. See docs/replication.md. */

/** Gateways that may be attached at a time. */
export const LINK_STREAMS_MAX = 128;
/** Tables that one of them may follow. */
export const LINK_SUBSCRIPTIONS_MAX = 16_384;
/** How long one may take to say who it is. */
export const HELLO_TIMEOUT_MS = 10_000;
/** Longest id of a cluster, and name of a gateway. */
export const LINK_NAME_BYTES_MAX = 256;

/** Commands in one message, even where messages may be larger; one command that is larger goes alone. */
export const ENTRIES_BYTES_MAX = 256 * 1024;
/** What is left of a message for its fields, of the commands that fit in it. */
export const ENTRIES_SHARE = 3 / 4;
/** Commands in one chunk of a node. */
export const FEED_CHUNK_BYTES_MAX = 256 * 1024;
/** Commands of one subscription that lie here: no more is read while there are so many. */
export const SUBSCRIPTION_BYTES_MAX = 256 * 1024;

/**
 * A subscription with something to send has one of so many places: of its stream ...
 *
 * A place stands for `SUBSCRIPTION_BYTES_MAX` and one chunk more, or one command that is larger.
 */
export const STREAM_PLACES_MAX = 32;
/** ... and of the gateway. A stream may have one even where all of these are taken. */
export const GATEWAY_PLACES_MAX = 128;
/** After so many bytes a place is left to whoever waits for one. */
export const PLACE_TURN_BYTES_MAX = 2 * 1024 * 1024;

/** Tables in one message. */
export const VIEW_TABLES_MAX = 1_000;
/** Ends that wait to be told: until then no further request is read. */
export const ENDS_WAITING_MAX = 1_000;
/** Messages smaller than this are not compressed. */
export const COMPRESS_BYTES_MIN = 256;
