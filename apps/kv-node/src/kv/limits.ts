/** The bounds of the client API; what is larger is refused with the texts of the contract. */

export const KEY_BYTES_MAX = 1024;
export const VALUE_BYTES_MAX = 2 * 1024 * 1024;
/** Operations in one transaction, both branches and the compares together. */
export const TXN_OPS_MAX = 16_384;
/** How long a call without a deadline of its own may wait for the log. */
export const OPERATION_TIMEOUT_MS = 5_000;
/** Streams that hold a point-in-time view open at once, over all tables. */
export const OPEN_VIEWS_MAX = 1_024;
/** How long a stream waits for a reader that takes nothing. */
export const READER_STALL_MS = 60_000;
/** Page of a range stream: small, so that one page does not hold the loop for long. */
export const STREAM_PAGE_BYTES_MAX = 256 * 1024;
/**
 * How long a read goes on before others take their turn. What it has read by then is encoded besides,
 * and nothing may hold the loop above 10 ms.
 */
export const READ_SLICE_MS = 3;
