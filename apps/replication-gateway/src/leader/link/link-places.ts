/**
 * Places for commands that lie in memory between a node and a follower cluster.
 *
 *   tryTake --there is one, and nobody waits--> taken --release--> free
 *   take -----------> in line ----its turn----> taken
 *
 * In: who wants a place. Out: places, in the order in which they were asked for within a stream, and stream by
 * stream in turn. There must never be more than the bounds allow: whoever has no place holds nothing.
 */

/** Of all streams of a gateway. */
export class GatewayPlaces {
  private used = 0;
  /** Streams somebody waits in; the first one is next. */
  private readonly lines = new Set<StreamPlaces>();

  constructor(private readonly placesMax: number) {}

  get inUse(): number {
    return this.used;
  }

  /** Whether a stream that has `held` of them may have one more. */
  mayTake(held: number): boolean {
    return held === 0 || this.used < this.placesMax;
  }

  took(): void {
    this.used++;
  }

  gave(): void {
    this.used--;
    this.serve();
  }

  lineUp(stream: StreamPlaces): void {
    this.lines.add(stream);
  }

  leave(stream: StreamPlaces): void {
    this.lines.delete(stream);
  }

  get hasLines(): boolean {
    return this.lines.size > 0;
  }

  /** Gives away what is free, one place a stream and round. */
  private serve(): void {
    for (let given = true; given;) {
      given = false;
      for (const stream of [...this.lines]) {
        if (!stream.serveNext()) continue;
        given = true;
        if (!this.lines.delete(stream) || !stream.hasWaiters) continue;
        this.lines.add(stream);
      }
    }
  }
}

/** Of one stream. */
export class StreamPlaces {
  private used = 0;
  private readonly waiting = new Set<() => void>();

  constructor(
    private readonly gateway: GatewayPlaces,
    private readonly placesMax: number,
  ) {}

  get hasWaiters(): boolean {
    return this.waiting.size > 0;
  }

  get inUse(): number {
    return this.used;
  }

  /** Whether a place that is kept keeps somebody else waiting. */
  get isContended(): boolean {
    return this.hasWaiters || this.gateway.hasLines;
  }

  tryTake(): boolean {
    if (this.hasWaiters || !this.isFree) return false;
    this.use();
    return true;
  }

  /** True with a place, false once the signal is aborted. */
  async take(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.tryTake()) return true;
    return new Promise((resolve) => {
      const settle = (taken: boolean): void => {
        this.waiting.delete(grant);
        signal.removeEventListener('abort', giveUp);
        if (!this.hasWaiters) this.gateway.leave(this);
        resolve(taken);
      };
      const grant = (): void => settle(true);
      const giveUp = (): void => settle(false);
      this.waiting.add(grant);
      this.gateway.lineUp(this);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  release(): void {
    this.used--;
    this.gateway.gave();
  }

  /** Whether the first in line has got a place. */
  serveNext(): boolean {
    const [grant] = this.waiting;
    if (grant === undefined || !this.isFree) return false;
    this.use();
    grant();
    return true;
  }

  private get isFree(): boolean {
    return this.used < this.placesMax && this.gateway.mayTake(this.used);
  }

  private use(): void {
    this.used++;
    this.gateway.took();
  }
}
