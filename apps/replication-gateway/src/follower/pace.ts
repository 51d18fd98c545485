/**
 * Keeps a flow of bytes below a rate. Pure: time comes with the call.
 *
 * In: bytes as they arrive. Out: how long to wait before taking more. What was not used up is not
 * saved for later, beyond a moment.
 */
const SAVED_MS_MAX = 100;

export class Pace {
  /** When the flow is back at its rate. */
  private evenAtMs = 0;

  /** 0 bytes per second stand for no bound. */
  constructor(private readonly bytesPerSecondMax: number) {}

  pauseMs(bytes: number, nowMs: number): number {
    if (this.bytesPerSecondMax === 0) return 0;
    const tookMs = (bytes * 1_000) / this.bytesPerSecondMax;
    this.evenAtMs = Math.max(this.evenAtMs, nowMs - SAVED_MS_MAX) + tookMs;
    return Math.max(0, this.evenAtMs - nowMs);
  }
}
