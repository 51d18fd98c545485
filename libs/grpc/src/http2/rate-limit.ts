/** So many at once, and so many a second after that: a bucket of tokens that time fills. */
export class RateLimit {
  private tokens: number;
  private lastMs: number;

  constructor(
    private readonly burst: number,
    private readonly perSecond: number,
    nowMs: number,
  ) {
    this.tokens = burst;
    this.lastMs = nowMs;
  }

  /** False when it is one too many. */
  take(nowMs: number): boolean {
    const gained = ((nowMs - this.lastMs) / 1000) * this.perSecond;
    this.lastMs = nowMs;
    this.tokens = Math.min(this.burst, this.tokens + gained) - 1;
    return this.tokens >= 0;
  }
}
