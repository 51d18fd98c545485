/** The bounds of a client, by name, and what holds where its options say nothing. */

/** Calls that wait for a connection or for a stream of one; one more fails at once. */
export const CALLS_WAITING_MAX = 65_536;
/** How long a connection may take, from the first packet until the server has sent its settings. */
export const CONNECT_TIMEOUT_MS = 20_000;
export const RECONNECT_MIN_MS_DEFAULT = 1_000;
export const RECONNECT_MAX_MS_DEFAULT = 120_000;
/** Pauses differ by this share, so that clients cut off at once do not all come back at once. */
export const RECONNECT_JITTER = 0.2;
/** How often a call is made again that the server refused to look at. */
export const REFUSALS_MAX = 1;
/** How often a call is made again that came too late for a connection that said goodbye. */
export const GOODBYES_MAX = 5;
/** Requests of a call kept for such a repetition until the server answers; with more there is none. */
export const REPLAY_BYTES_MAX = 256 * 1024;
/** A message that lies in a piece so many times its size is copied, so as not to keep that alive. */
export const CHUNK_SHARE_MIN = 2;
/** How often connections are looked at for what has to end because of time. */
export const LOOK_MS = 1_000;
