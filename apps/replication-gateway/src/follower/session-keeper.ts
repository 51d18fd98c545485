/**
 * The session of this gateway: one small call again and again, for all tables that it holds.
 *
 *   none --opened--> held --told in time--> held --not told for its ttl--> run out: `lost`
 *     ^                                                                     | held on to after all,
 *     `----------------- gone: another one has been opened -----------------'  or gone
 *
 * In: the own cluster, a clock. Out: the token under which leases are taken, which other gateways live, and
 * whether anything changed that they have to look at. The answer to each call says so, so nobody else asks.
 * How long it lasts is counted on this machine's clock, from before the call was made.
 */
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../gateway-clock.js';
import { textOf } from './failure-kind.js';
import { type HeldSession, type OwnCluster } from './ports.js';

/** A session outlives so many calls that fail. */
const TTL_INTERVALS = 4;
/** Nodes give no longer sessions. */
const TTL_MS_MAX = 5 * 60_000;
/** After a call that failed. */
const FAILURE_PAUSE_MS = 100;
/** After the end of another session, so that the node that is asked sees it too. */
const AFTER_END_MS = 25;
const PAUSE_MS_MIN = 50;

export interface SessionKeeperParts {
  readonly gateway: string;
  readonly own: Pick<OwnCluster, 'holdSession' | 'endSession'>;
  readonly clock: GatewayClock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly intervalMs: number;
  /** There is something to look at: other gateways, other leases. */
  readonly changed: () => void;
  /** What is held under it may be others' by now. */
  readonly lost: () => void;
}

export class SessionKeeper {
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  private held: HeldSession | undefined;
  private heldUntilMs = 0;
  /** Kept after it has run out: it may be held on to as long as nobody has done away with it. */
  private lastToken = 0;
  private heardAtMs: number | undefined;
  private isFailing = false;

  constructor(private readonly parts: SessionKeeperParts) {}

  get ttlMs(): number {
    return Math.min(this.parts.intervalMs * TTL_INTERVALS, TTL_MS_MAX);
  }

  /** Undefined while none is held. */
  get token(): number | undefined {
    return this.session?.token;
  }

  /** As it was told last; undefined while none is held. */
  get session(): HeldSession | undefined {
    return this.parts.clock.nowMs() < this.heldUntilMs ? this.held : undefined;
  }

  /** When the cluster last answered, on this gateway's clock. */
  get lastHeardMs(): number | undefined {
    return this.heardAtMs;
  }

  start(): void {
    this.running ??= this.run();
  }

  /** What was held is anybody's at once. Nothing may be sent under it any more. Idempotent. */
  async stop(): Promise<void> {
    if (this.stopping.signal.aborted) return this.running;
    this.stopping.abort();
    await this.running;
    const token = this.lastToken;
    this.forget();
    if (token === 0) return;
    const { own, gateway, logger } = this.parts;
    try {
      await own.endSession({ holder: gateway, token });
    } catch (error) {
      logger.warn({ reason: textOf(error) }, 'the session could not be ended, it will run out');
    }
  }

  private async run(): Promise<void> {
    const { clock } = this.parts;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      // Whoever was stopped for long has lost it, before anything else is done.
      this.checkTime();
      const pauseMs = (await this.beat()) ? this.pauseMs() : FAILURE_PAUSE_MS;
      this.checkTime();
      await clock.sleep(pauseMs, signal);
    }
  }

  /** Whether there was an answer. */
  private async beat(): Promise<boolean> {
    const { gateway, own, clock, logger, changed } = this.parts;
    const sentAtMs = clock.nowMs();
    const wish = { holder: gateway, token: this.lastToken, ttlMs: this.ttlMs };
    try {
      const session = await own.holdSession(wish);
      this.isFailing = false;
      this.heardAtMs = clock.nowMs();
      if (!session) {
        logger.warn({ session: wish.token }, 'the session is gone, others may have the tables');
        this.forget();
        this.parts.lost();
        return false;
      }
      const isNew = isOther(this.session, session);
      this.held = session;
      this.lastToken = session.token;
      this.heldUntilMs = sentAtMs + this.ttlMs;
      if (isNew) changed();
      return true;
    } catch (error) {
      if (!this.isFailing) logger.warn({ reason: textOf(error) }, 'no node holds the session');
      this.isFailing = true;
      return false;
    }
  }

  /** Whoever dies is found out when its time is over, not at the next turn. */
  private pauseMs(): number {
    const { intervalMs, gateway } = this.parts;
    const others = this.held?.gateways.filter(({ holder }) => holder !== gateway) ?? [];
    const firstEndMs = Math.min(...others.map(({ remainingMs }) => remainingMs + AFTER_END_MS));
    return Math.max(Math.min(intervalMs, firstEndMs), Math.min(PAUSE_MS_MIN, intervalMs));
  }

  private checkTime(): void {
    if (!this.held || this.parts.clock.nowMs() < this.heldUntilMs) return;
    this.held = undefined;
    this.parts.logger.warn({}, 'the session has run out, others may have the tables');
    this.parts.lost();
  }

  private forget(): void {
    this.held = undefined;
    this.lastToken = 0;
    this.heldUntilMs = 0;
  }
}

function isOther(before: HeldSession | undefined, now: HeldSession): boolean {
  if (before?.version !== now.version || before.token !== now.token) return true;
  if (before.gateways.length !== now.gateways.length) return true;
  return now.gateways.some(({ holder }, at) => before.gateways[at]?.holder !== holder);
}
