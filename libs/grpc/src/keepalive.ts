/**
 * How either end of a connection finds out that the other has gone without a word: by pings of
 * HTTP/2, which show that both directions carry. A ping that is not answered in time ends the
 * connection, and all calls on it.
 */
export interface KeepaliveOptions {
  /** From one answer to the next ping. */
  readonly timeMs: number;
  /** How long an answer may take. */
  readonly timeoutMs: number;
}
