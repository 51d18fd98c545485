/**
 * Who of the maintenance apps of a cluster does what only one may do: whoever holds a lease.
 *
 *   standing by --acquired--> held --renewed--> held
 *        ^                      |
 *        +--- somebody else holds it, or it ran out before it could be renewed
 *
 *   the nodes know no leases --> alone, until they do
 *
 * In: the leases of the nodes. Out: a turn, with the fencing token of the lease and a signal that ends it,
 * and listeners that are told of each change. Must never take a turn for longer than the lease holds, counted
 * from before it was asked for.
 */
import { type Logger } from '@flotilla/platform';
import { Injectable } from '@nestjs/common';
import { type MaintenanceClock } from '../maintenance-clock.js';
import { type LeaseAnswer, type Leases } from './node-leases.js';

/** What only one app does at a time; whoever does the one need not be able to do the other. */
export const PURPOSES = {
  schedule: { name: 'backups', what: 'the schedule' },
  shipping: { name: 'log-shipping', what: 'log shipping' },
} as const;
export type Purpose = (typeof PURPOSES)[keyof typeof PURPOSES];

/** A dead runner is replaced after this and `POLL_MS` at the latest. */
export const LEASE_TTL_MS = 9_000;
/** Two more tries fit in before it runs out. */
export const RENEW_MS = 3_000;
/** Whoever stands by asks so often, and sooner when the lease is about to end. */
export const POLL_MS = 2_000;
const POLL_MS_MIN = 100;
const RETRY_MS = 500;
const ATTEMPT_MS = 2_000;
/** Nodes of before may be replaced by ones that know leases. */
export const ASK_AGAIN_MS = 30_000;

/** Being the runner, from taking the lease to losing it. */
export interface RunnerTurn {
  /** Grows from turn to turn, whoever has it; undefined where the nodes know no leases. */
  readonly token: number | undefined;
  /** Aborted once it is over. */
  readonly signal: AbortSignal;
}

/** What follows the lease: the schedule, and whatever else one app does for a cluster. */
export interface Turns {
  readonly holder: string;
  readonly turn: RunnerTurn | undefined;
  /** Told of each change; the returned function ends that. Listeners must not throw. */
  onChange(listener: (turn: RunnerTurn | undefined) => void): () => void;
}

export interface RunnerLeaseParts {
  readonly purpose: Purpose;
  readonly leases: Leases;
  /** Of this process alone. */
  readonly holder: string;
  readonly clock: MaintenanceClock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

interface Held {
  readonly turn: RunnerTurn;
  readonly over: AbortController;
  untilMs: number;
}

@Injectable()
export class RunnerLease implements Turns {
  private readonly listeners = new Set<(turn: RunnerTurn | undefined) => void>();
  private readonly closing = new AbortController();
  private held: Held | undefined;
  private loop: Promise<void> | undefined;
  /** Once a node was seen that knows leases, nobody is alone any more. */
  private wasServed = false;
  /** Token of a lease of ours what taking was not answered. */
  private unanswered = 0;
  private saidLast = '';

  constructor(private readonly parts: RunnerLeaseParts) {}

  get holder(): string {
    return this.parts.holder;
  }

  get turn(): RunnerTurn | undefined {
    const { held } = this;
    return held && this.parts.clock.nowMs() < held.untilMs ? held.turn : undefined;
  }

  get isRunner(): boolean {
    return this.turn !== undefined;
  }

  onChange(listener: (turn: RunnerTurn | undefined) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  start(): void {
    this.loop ??= this.run();
  }

  /** Gives the lease back, so that another app takes over at once. Idempotent. */
  async close(): Promise<void> {
    if (this.closing.signal.aborted) return;
    this.closing.abort();
    await this.loop;
    const token = this.held?.turn.token;
    this.end('this app stops', 'info');
    if (token === undefined) return;
    const { leases, holder, logger } = this.parts;
    const purpose = this.parts.purpose.name;
    try {
      await leases.release({ purpose, holder, token }, ATTEMPT_MS);
    } catch (error) {
      logger.warn({ reason: reasonOf(error) }, `the lease of ${this.what} runs out by itself`);
    }
  }

  private async run(): Promise<void> {
    const { clock } = this.parts;
    const { signal } = this.closing;
    while (!signal.aborted) {
      const waitMs = await this.step();
      const leftMs = this.held ? this.held.untilMs - clock.nowMs() : waitMs;
      await clock.sleep(Math.max(0, Math.min(waitMs, leftMs)), signal);
      if (this.held && clock.nowMs() >= this.held.untilMs) this.end('it was not renewed in time');
    }
  }

  /** Asks once. How long to wait until the next time. */
  private async step(): Promise<number> {
    const { leases, holder, clock } = this.parts;
    const askedAtMs = clock.nowMs();
    const leftMs = this.held ? this.held.untilMs - askedAtMs : ATTEMPT_MS;
    const token = this.held?.turn.token ?? this.unanswered;
    const purpose = this.parts.purpose.name;
    const wish = { purpose, holder, ttlMs: LEASE_TTL_MS, token };
    try {
      const answer = await leases.acquire(wish, Math.max(1, Math.min(ATTEMPT_MS, leftMs)));
      return this.follow(answer, askedAtMs);
    } catch (error) {
      this.say(`the lease of ${this.what} cannot be asked for: ${reasonOf(error)}`);
      return RETRY_MS;
    }
  }

  private follow(answer: LeaseAnswer, askedAtMs: number): number {
    if (answer.kind === 'unserved') return this.unserved();
    this.wasServed = true;
    const { acquired, holder, token, remainingMs } = answer;
    if (acquired) {
      this.unanswered = 0;
      this.hold(token, askedAtMs + LEASE_TTL_MS);
      return RENEW_MS;
    }
    this.end(holder === '' ? 'it was given to nobody' : `${holder} holds it`);
    this.unanswered = holder === this.holder ? token : 0;
    if (this.unanswered > 0) return POLL_MS_MIN;
    if (holder !== '') this.say(`${holder} runs ${this.what}, this app stands by`, 'info');
    return Math.min(POLL_MS, Math.max(POLL_MS_MIN, remainingMs));
  }

  private unserved(): number {
    // In a cluster of nodes old and new, another one is asked next.
    if (this.wasServed) return RETRY_MS;
    this.say(
      `the nodes know no leases: this app runs ${this.what} without one; let no other app have it`,
    );
    this.hold(undefined, Number.POSITIVE_INFINITY);
    return ASK_AGAIN_MS;
  }

  private hold(token: number | undefined, untilMs: number): void {
    const { held } = this;
    if (held && held.turn.token === token) {
      held.untilMs = untilMs;
      return;
    }
    this.end('a new one was taken');
    const over = new AbortController();
    this.held = { turn: { token, signal: over.signal }, over, untilMs };
    if (token !== undefined) {
      this.say(`this app runs ${this.what}, with token ${token}`, 'info');
    }
    this.tell();
  }

  private end(reason: string, level: 'info' | 'warn' = 'warn'): void {
    const { held } = this;
    if (!held) return;
    this.held = undefined;
    const told = { reason, runToken: held.turn.token };
    this.parts.logger[level](told, `${this.what} is not run here any more`);
    this.saidLast = '';
    held.over.abort(new Error(`the lease of ${this.what} is lost: ${reason}`));
    this.tell();
  }

  private get what(): string {
    return this.parts.purpose.what;
  }

  private tell(): void {
    for (const listener of [...this.listeners]) listener(this.turn);
  }

  /** Once for as long as it stays the same. */
  private say(text: string, level: 'info' | 'warn' = 'warn'): void {
    if (text === this.saidLast) return;
    this.saidLast = text;
    this.parts.logger[level]({}, text);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
