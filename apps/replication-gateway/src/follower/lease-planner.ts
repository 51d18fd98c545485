/**
 * Which tables this gateway pulls: leases to take, to give back. Pure: views and time in.
 *
 *   new, given back, or held by one that died --> taken up to the share; by anybody after a while
 *   held here beyond the share -----------------> given back, few at a time
 *
 * The share is the number of copies over that of gateways, which know each other by their sessions. One that
 * has just come is left room at once, and is given tables once it has lived for a while. Each looks for its
 * tables from a place of its own on, so that several do not want the same ones. Whoever decides wrong loses
 * nothing: the cluster gives a lease to one, and fences what others write.
 */
import { type ListedCopy } from './ports.js';

/** Tables taken in one look; there are further looks at once. */
export const TAKEN_PER_PLAN_MAX = 2_048;
/** Tables given back in one look: each of them is without a puller for a moment. */
export const GIVEN_PER_PLAN_MAX = 64;
/** Looks after which a table that nobody takes is anybody's. */
const FREE_INTERVALS = 4;
/** Longer than a session outlives its gateway: one that is dead already is given nothing. */
const SETTLED_INTERVALS = 5;

/** A lease that this gateway has. */
export interface HeldTable {
  readonly copyId: number;
  /** No commands came lately: it is given back before others. */
  readonly isIdle: boolean;
  /** It is in the middle of something that must not be given up. */
  readonly isPinned: boolean;
}

export interface LeaseView {
  readonly copies: readonly ListedCopy[];
  readonly held: readonly HeldTable[];
  /** Gateways that live, this one among them or not. */
  readonly gateways: readonly string[];
  /** Tables whose copies are being replaced here: not to be touched. */
  readonly reserved: ReadonlySet<string>;
  readonly nowMs: number;
}

export interface LeasePlan {
  readonly take: readonly ListedCopy[];
  readonly giveBack: readonly number[];
  /** Held, but there is no such copy any more. */
  readonly drop: readonly number[];
  /** Nothing more is to be done until something changes. */
  readonly isSettled: boolean;
}

export class LeasePlanner {
  /** Since when nobody holds a copy, by its id. */
  private freeSinceMs = new Map<number, number>();
  /** Since when a gateway is known. */
  private aliveSinceMs = new Map<string, number>();

  constructor(
    private readonly gateway: string,
    private readonly leaseIntervalMs: number,
  ) {}

  plan({ copies, held, gateways, reserved, nowMs }: LeaseView): LeasePlan {
    const listed = new Set(copies.map(({ id }) => id));
    const isKept = ({ copyId, isPinned }: HeldTable) => isPinned || listed.has(copyId);
    const kept = held.filter(isKept);
    const drop = held.filter((one) => !isKept(one)).map(({ copyId }) => copyId);
    const all = [...new Set([this.gateway, ...gateways])].sort();
    const settled = this.settled(all, nowMs);
    const giveShare = Math.ceil(copies.length / settled);
    const giveBack = surplus(kept, giveShare);
    const mine = new Set(kept.map(({ copyId }) => copyId));
    const free = copies.filter((one) => !mine.has(one.id) && this.isFree(one));
    const takeable = free.filter(({ table }) => !reserved.has(table));
    const take = this.wanted(
      takeable,
      mine.size,
      all,
      Math.ceil(copies.length / all.length),
      nowMs,
    );
    const isDone = take.length === free.length && giveBack.length === 0;
    return { take, giveBack, drop, isSettled: isDone && settled === all.length };
  }

  /** How many of them have lived long enough to be given something. */
  private settled(gateways: readonly string[], nowMs: number): number {
    const before = this.aliveSinceMs;
    this.aliveSinceMs = new Map(gateways.map((name) => [name, before.get(name) ?? nowMs]));
    const soonMs = nowMs - this.leaseIntervalMs * SETTLED_INTERVALS;
    return gateways.filter((name) => {
      return name === this.gateway || (this.aliveSinceMs.get(name) ?? nowMs) <= soonMs;
    }).length;
  }

  private isFree({ lease }: ListedCopy): boolean {
    // A lease of this gateway that it does not know of: the answer that gave it was lost.
    return !lease || lease.remainingMs === 0 || lease.holder === this.gateway;
  }

  private wanted(
    takeable: readonly ListedCopy[],
    held: number,
    gateways: readonly string[],
    share: number,
    nowMs: number,
  ): ListedCopy[] {
    const before = this.freeSinceMs;
    this.freeSinceMs = new Map(takeable.map(({ id }) => [id, before.get(id) ?? nowMs]));
    const place = gateways.indexOf(this.gateway) / gateways.length;
    const first = Math.floor(place * takeable.length);
    const take: ListedCopy[] = [];
    for (const copy of [...takeable.slice(first), ...takeable.slice(0, first)]) {
      if (take.length >= TAKEN_PER_PLAN_MAX) break;
      const sinceMs = this.freeSinceMs.get(copy.id) ?? nowMs;
      const isLeftOver = nowMs - sinceMs >= this.leaseIntervalMs * FREE_INTERVALS;
      const isForgotten = copy.lease?.holder === this.gateway;
      if (held + take.length < share || isLeftOver || isForgotten) take.push(copy);
    }
    return take;
  }
}

function surplus(kept: readonly HeldTable[], share: number): number[] {
  const movable = kept.filter(({ isPinned }) => !isPinned);
  const idleFirst = [...movable].sort((a, b) => Number(b.isIdle) - Number(a.isIdle));
  const count = Math.min(Math.max(0, kept.length - share), GIVEN_PER_PLAN_MAX);
  return idleFirst.slice(0, count).map(({ copyId }) => copyId);
}
