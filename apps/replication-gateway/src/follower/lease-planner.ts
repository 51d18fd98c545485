/**
 * Which tables this gateway pulls: leases to take, to renew, to give back. Pure: views and time in.
 *
 *   held by one that died --> taken at once
 *   new, or given back ------> taken up to the share; by anybody after a while
 *   held here ---------------> renewed; beyond the share, or to be offered: given back
 *
 * The share is the number of copies over that of gateways. Gateways know each other by the leases
 * they hold alone, so one that holds nothing is found out by offering it something: a table that is
 * idle is given back and left alone for a moment. Whoever decides wrong loses nothing: the cluster
 * gives a lease to one, and fences what others write.
 */
import { type ListedCopy } from './ports.js';

/** Tables taken, or given back, in one look. */
export const CHANGES_PER_PLAN_MAX = 64;
/** Renewals are entries of the catalog: all gateways together make no more of them. */
const RENEWALS_PER_SECOND_MAX = 200;
/** A lease outlives so many renewals that fail. */
const TTL_INTERVALS = 3;
/** Nodes give no longer leases. */
const TTL_MS_MAX = 5 * 60_000;
const RENEW_EVERY_MS_MAX = TTL_MS_MAX / TTL_INTERVALS;
/** Looks after which a table that nobody takes is anybody's. */
const FREE_INTERVALS = 4;
/** Looks for which a table that was given back is left to others, who want it by then or do not. */
const OFFER_INTERVALS = 2;
const OFFER_EVERY_INTERVALS = 30;

/** A lease that this gateway has. */
export interface HeldTable {
  readonly copyId: number;
  readonly renewedAtMs: number;
  /** No commands came lately: it may be offered. */
  readonly isIdle: boolean;
  /** It is in the middle of something that must not be given up. */
  readonly isPinned: boolean;
}

export interface LeaseView {
  readonly copies: readonly ListedCopy[];
  readonly held: readonly HeldTable[];
  /** Tables whose copies are being replaced here: not to be touched. */
  readonly reserved: ReadonlySet<string>;
  readonly nowMs: number;
}

export interface LeasePlan {
  readonly take: readonly ListedCopy[];
  readonly renew: readonly number[];
  readonly giveBack: readonly number[];
  /** Held, but there is no such copy any more. */
  readonly drop: readonly number[];
}

export class LeasePlanner {
  /** Since when nobody holds a copy, by its id. */
  private freeSinceMs = new Map<number, number>();
  /** Copies that are left to others, and until when. */
  private readonly offeredUntilMs = new Map<number, number>();
  private offeredAtMs: number | undefined;

  constructor(
    private readonly gateway: string,
    private readonly leaseIntervalMs: number,
  ) {}

  /** With many tables renewals get rarer, so that holding leases costs no more than that. */
  renewEveryMs(copies: number): number {
    const rareMs = (copies * 1_000) / RENEWALS_PER_SECOND_MAX;
    return Math.min(Math.max(this.leaseIntervalMs, rareMs), RENEW_EVERY_MS_MAX);
  }

  ttlMs(copies: number): number {
    return Math.ceil(this.renewEveryMs(copies) * TTL_INTERVALS);
  }

  plan({ copies, held, reserved, nowMs }: LeaseView): LeasePlan {
    const listed = new Set(copies.map(({ id }) => id));
    const isKept = ({ copyId, isPinned }: HeldTable) => isPinned || listed.has(copyId);
    const kept = held.filter(isKept);
    const drop = held.filter((one) => !isKept(one)).map(({ copyId }) => copyId);
    const share = Math.ceil(copies.length / this.gatewaysOf(copies));
    const giveBack = this.surplus(kept, share, nowMs);
    const takeable = copies.filter(({ table }) => !reserved.has(table));
    const take = this.wanted(takeable, kept, share, nowMs);
    const renewEveryMs = this.renewEveryMs(copies.length);
    const renew = kept
      .filter(({ copyId, renewedAtMs }) => {
        return nowMs - renewedAtMs >= renewEveryMs && !giveBack.includes(copyId);
      })
      .map(({ copyId }) => copyId);
    return { take, renew, giveBack, drop };
  }

  private gatewaysOf(copies: readonly ListedCopy[]): number {
    const gateways = new Set([this.gateway]);
    for (const { lease } of copies) {
      if (lease && lease.remainingMs > 0) gateways.add(lease.holder);
    }
    return gateways.size;
  }

  private wanted(
    copies: readonly ListedCopy[],
    kept: readonly HeldTable[],
    share: number,
    nowMs: number,
  ): ListedCopy[] {
    const mine = new Set(kept.map(({ copyId }) => copyId));
    const freeBefore = this.freeSinceMs;
    this.freeSinceMs = new Map();
    const take: ListedCopy[] = [];
    for (const copy of copies) {
      const { id, lease } = copy;
      // A lease of this gateway that it does not know of: the answer that gave it was lost.
      const isForgotten = lease !== undefined && lease.holder === this.gateway;
      if (mine.has(id) || (lease && lease.remainingMs > 0 && !isForgotten)) continue;
      const sinceMs = freeBefore.get(id) ?? nowMs;
      this.freeSinceMs.set(id, sinceMs);
      if (take.length >= CHANGES_PER_PLAN_MAX || this.isOffered(id, nowMs)) continue;
      const isOrphan = lease !== undefined && lease.holder !== '';
      const isLeftOver = nowMs - sinceMs >= this.leaseIntervalMs * FREE_INTERVALS;
      if (isOrphan || isLeftOver || mine.size + take.length < share) take.push(copy);
    }
    return take;
  }

  private isOffered(id: number, nowMs: number): boolean {
    const untilMs = this.offeredUntilMs.get(id);
    if (untilMs === undefined) return false;
    if (nowMs < untilMs) return true;
    this.offeredUntilMs.delete(id);
    return false;
  }

  private surplus(kept: readonly HeldTable[], share: number, nowMs: number): number[] {
    const movable = kept.filter(({ isPinned }) => !isPinned);
    const idleFirst = [...movable].sort((a, b) => Number(b.isIdle) - Number(a.isIdle));
    const surplus = Math.min(Math.max(0, kept.length - share), CHANGES_PER_PLAN_MAX);
    const given = idleFirst.slice(0, surplus).map(({ copyId }) => copyId);
    if (given.length === 0) given.push(...this.offer(idleFirst, kept.length, nowMs));
    const untilMs = nowMs + this.leaseIntervalMs * OFFER_INTERVALS;
    for (const id of given) this.offeredUntilMs.set(id, untilMs);
    return given;
  }

  private offer(idleFirst: readonly HeldTable[], held: number, nowMs: number): number[] {
    this.offeredAtMs ??= nowMs;
    const isDue = nowMs - this.offeredAtMs >= this.leaseIntervalMs * OFFER_EVERY_INTERVALS;
    const [candidate] = idleFirst;
    if (!isDue || held < 2 || !candidate?.isIdle) return [];
    this.offeredAtMs = nowMs;
    return [candidate.copyId];
  }
}
