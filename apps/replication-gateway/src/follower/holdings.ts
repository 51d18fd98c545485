/**
 * The leases that this gateway has, each with a signal that ends what is done under it.
 *
 *   taken --renewed in time--> taken --not renewed, taken by others, given back--> over: aborted
 *
 * How long a lease lasts is counted on this machine's clock from before it was asked for. That only
 * spares work: what is sent too late is refused by its token, however clocks are.
 */
import { type GatewayClock } from '../gateway-clock.js';
import { type Copy, type LeaseHold, type OwnCluster } from './ports.js';

export class Holding implements LeaseHold {
  private readonly ended = new AbortController();
  renewedAtMs: number;
  heldUntilMs: number;

  constructor(
    readonly copy: Copy,
    readonly holder: string,
    readonly token: number,
    sentAtMs: number,
    ttlMs: number,
  ) {
    this.renewedAtMs = sentAtMs;
    this.heldUntilMs = sentAtMs + ttlMs;
  }

  /** Aborted once the lease is over. */
  get signal(): AbortSignal {
    return this.ended.signal;
  }

  end(): void {
    this.ended.abort();
  }
}

export class Holdings {
  constructor(
    private readonly own: OwnCluster,
    private readonly clock: Pick<GatewayClock, 'nowMs'>,
    /** How long a lease lasts now. */
    private readonly ttlMs: () => number,
  ) {}

  /** Undefined if somebody else has it. */
  async take(copy: Copy, holder: string): Promise<Holding | undefined> {
    const sentAtMs = this.clock.nowMs();
    const ttlMs = this.ttlMs();
    const lease = await this.own.acquire({ copy, holder, token: 0 }, ttlMs);
    return lease && new Holding(copy, holder, lease.token, sentAtMs, ttlMs);
  }

  /** Ends the holding if somebody else has the lease. A rejection leaves it as it was. */
  async renew(holding: Holding): Promise<void> {
    const sentAtMs = this.clock.nowMs();
    const ttlMs = this.ttlMs();
    const lease = await this.own.acquire(holding, ttlMs);
    if (!lease) return holding.end();
    holding.renewedAtMs = sentAtMs;
    holding.heldUntilMs = sentAtMs + ttlMs;
  }

  /** Nothing is sent under it any more. */
  async giveBack(holding: Holding): Promise<void> {
    holding.end();
    await this.own.release(holding);
  }
}
