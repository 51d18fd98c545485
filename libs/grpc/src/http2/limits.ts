/**
 * The bounds that keep one connection from costing more than it may, by name. Both ends keep them.
 */

/** What is announced for a connection as a whole; it is refilled as frames arrive. */
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
/**
 * What is announced for a stream; it is refilled as messages are taken by whoever reads them. A stream of
 * large messages stops at it and goes on, and each refill is a write of its own: a batch of rows fits.
 */
export const STREAM_WINDOW_BYTES = 1024 * 1024;
/** Bytes of messages that lie in memory because they are incomplete or nobody takes them. */
export const INBOUND_BYTES_MAX = 256 * 1024 * 1024;
/** Bytes of messages that wait for the other end to take them; then no new streams are served. */
export const OUTBOUND_BYTES_MAX = 64 * 1024 * 1024;
/** Longest list of headers, as SETTINGS_MAX_HEADER_LIST_SIZE counts. */
export const HEADER_LIST_BYTES_MAX = 64 * 1024;
/** Longest header block before it is decoded. */
export const HEADER_BLOCK_BYTES_MAX = 64 * 1024;
/** CONTINUATION frames of one header block. */
export const CONTINUATIONS_MAX = 64;
/** Streams cut by the other end, or because of what it did to them: so many at once, so many a second. */
export const RESETS_BURST = 1000;
export const RESETS_PER_SECOND = 500;
/** Frames that ask for an answer or do nothing (SETTINGS, PING, PRIORITY, empty DATA, unknown). */
export const CONTROL_FRAMES_BURST = 1000;
export const CONTROL_FRAMES_PER_SECOND = 200;
/** Streams whose end was forced here, and whose frames may still be under way. */
export const RESET_STREAMS_REMEMBERED = 2048;
/** Streams of one connection that are open at once, where the server's owner sets no bound. */
export const CONCURRENT_STREAMS_MAX = 10_000;
/** What the other end may take for its preface and settings, and for a header block. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How long a request may stand still before all of it is there. */
export const REQUEST_STALL_MS = 60_000;
/** How long a whole answer may wait for a window that does not open. */
export const ANSWER_STALL_MS = 60_000;
/** The same for a call that goes on: its reader may rest, but not for ever. */
export const READER_STALL_MS = 30 * 60_000;
/** What a message that waits to be taken costs beside its bytes. */
export const WAITING_MESSAGE_COST_BYTES = 128;
/** How long the other end may take nothing of what waits for it in the socket. */
export const WRITE_STALL_MS = 60_000;
