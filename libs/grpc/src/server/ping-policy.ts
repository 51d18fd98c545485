/**
 * Decides when a client pings too often, by the rules that gRPC servers keep.
 *
 * In: "a ping came" and "something was sent", with the time. Out: whether to close the connection.
 * A ping sooner than the minimum after the last is a strike; the third strike is one too many.
 * Sending headers or data forgives all strikes, since clients measure the line behind answers.
 *
 * Must never read a clock or a socket itself.
 */

/** Strikes that are still tolerated. */
const STRIKES_MAX = 2;

/** What the closing frame says, as other servers do. */
export const TOO_MANY_PINGS = 'too_many_pings';

export class PingPolicy {
  #lastPingMs = Number.NEGATIVE_INFINITY;
  #strikes = 0;
  #sentSince = false;

  constructor(private readonly minTimeMs: number) {}

  /** Headers or data went out. */
  onSent(): void {
    this.#sentSince = true;
  }

  /** True when the connection must be closed with `TOO_MANY_PINGS`. */
  onPing(nowMs: number): boolean {
    const sinceMs = nowMs - this.#lastPingMs;
    this.#lastPingMs = nowMs;
    if (this.#sentSince) {
      this.#sentSince = false;
      this.#strikes = 0;
      return false;
    }
    if (sinceMs < this.minTimeMs) {
      this.#strikes += 1;
    }
    return this.#strikes > STRIKES_MAX;
  }
}
