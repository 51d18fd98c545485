/**
 * Leases: who may write what a leader cluster sends into a copy, for a while and alone.
 *
 *   nobody's or run out --> taken, token + 1 --> held on to, same token --> given back or run out
 *
 * In: wishes of pullers. Out: rows of the catalog, changed only if they still are what was looked at.
 * The time is that of the node that proposes, and lies in the row; applying it looks at no clock. A
 * clock that is wrong may move a lease too early: tokens only grow, so whoever lost it writes nothing.
 */
import { type NodeClock } from '../node/node-clock.js';
import { type Catalog } from './catalog.service.js';
import { encodeLease, leaseKey, type LeaseRow } from './catalog-rows.js';
import { type LeaseInfo } from './catalog-state.js';

/** How often a lost race is tried again before the caller is told that it has not got the lease. */
const ATTEMPTS_MAX = 4;

export interface LeaseWish {
  readonly tableId: number;
  readonly holder: string;
  /** The one that the holder has, to hold on; 0 to take the lease. */
  readonly token: number;
  readonly ttlMs: number;
}

export interface LeaseOutcome {
  readonly isHeld: boolean;
  /** As it is now, whoever has it. */
  readonly lease: LeaseInfo | undefined;
}

/** The row that gives the holder what it wishes; undefined if it cannot have it. */
export function leaseTaken(
  current: LeaseInfo | undefined,
  { holder, token, ttlMs }: Omit<LeaseWish, 'tableId'>,
  nowMs: number,
): LeaseRow | undefined {
  const expiresAtMs = BigInt(Math.ceil(nowMs + ttlMs));
  if (token > 0) {
    const isOwn = current?.holder === holder && current.token === token;
    return isOwn ? { holder, token: BigInt(token), expiresAtMs } : undefined;
  }
  if (!current) return { holder, token: 1n, expiresAtMs };
  // A holder that asks anew has forgotten that it held it: what it sent before must not count.
  const isFree = current.holder === '' || current.holder === holder;
  if (!isFree && current.expiresAtMs > nowMs) return undefined;
  return { holder, token: BigInt(current.token) + 1n, expiresAtMs };
}

export class Leases {
  constructor(
    private readonly catalog: Catalog,
    private readonly clock: Pick<NodeClock, 'wallMs'>,
  ) {}

  get(tableId: number): LeaseInfo | undefined {
    return this.catalog.state.leases.get(tableId);
  }

  /** How long it still is held. */
  remainingMs(lease: LeaseInfo): number {
    return lease.holder === '' ? 0 : Math.max(0, lease.expiresAtMs - this.clock.wallMs());
  }

  async acquire(wish: LeaseWish, deadlineMs: number): Promise<LeaseOutcome> {
    return this.change(wish.tableId, deadlineMs, (current) =>
      leaseTaken(current, wish, this.clock.wallMs()),
    );
  }

  /** The token stays, so that the next one is higher. */
  async release(
    { tableId, holder, token }: Omit<LeaseWish, 'ttlMs'>,
    deadlineMs: number,
  ): Promise<boolean> {
    const { isHeld } = await this.change(tableId, deadlineMs, (current) => {
      if (current?.holder !== holder || current.token !== token) return undefined;
      return { holder: '', token: BigInt(token), expiresAtMs: 0n };
    });
    return isHeld;
  }

  /** What is refused is looked at once more on a state that is known to be new. */
  private async change(
    tableId: number,
    deadlineMs: number,
    next: (current: LeaseInfo | undefined) => LeaseRow | undefined,
  ): Promise<LeaseOutcome> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const current = this.get(tableId);
      const row = next(current);
      if (row === undefined) {
        if (attempt > 0) return { isHeld: false, lease: current };
        await this.catalog.barrier(deadlineMs);
        continue;
      }
      const key = leaseKey(tableId);
      const isDone = await this.catalog.replace(key, current?.stored, encodeLease(row), deadlineMs);
      const { holder, token, expiresAtMs } = row;
      if (isDone) {
        const [tokenNumber, expires] = [Number(token), Number(expiresAtMs)];
        const stored = encodeLease(row);
        return {
          isHeld: true,
          lease: { holder, token: tokenNumber, expiresAtMs: expires, stored },
        };
      }
      await this.catalog.barrier(deadlineMs);
    }
    return { isHeld: false, lease: this.get(tableId) };
  }
}
