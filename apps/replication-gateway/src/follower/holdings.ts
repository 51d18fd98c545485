/**
 * The leases that this gateway has, each with a signal that ends what is done under it.
 *
 *   taken under the session --session lost, taken by others, given back--> over: aborted
 *
 * In: copies to take, leases to give back, many in one call. Out: holdings. A lease lasts as long as the
 * session does, so none is told by itself that it is wanted still. Ending what is done only spares work:
 * what is sent too late is refused by its token, however clocks are.
 */
import { type Copy, type HeldLease, LEASES_PER_CALL_MAX, type OwnCluster } from './ports.js';
import { type SessionKeeper } from './session-keeper.js';

export class Holding implements HeldLease {
  private readonly ended = new AbortController();

  constructor(
    readonly copy: Copy,
    readonly token: number,
  ) {}

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
    private readonly gateway: string,
    private readonly own: OwnCluster,
    private readonly session: Pick<SessionKeeper, 'token'>,
  ) {}

  /** Undefined if somebody else has it. */
  async take(copy: Copy): Promise<Holding | undefined> {
    return (await this.takeAll([copy]))[0];
  }

  /** Those that could be had, of no more copies than go into one call. */
  async takeAll(copies: readonly Copy[]): Promise<Holding[]> {
    const { token } = this.session;
    if (token === undefined) return [];
    const tokens = await this.own.takeLeases({ holder: this.gateway, token }, copies);
    // What was taken under a session that is over meanwhile is not begun with.
    if (!tokens || this.session.token !== token) return [];
    return copies.flatMap((copy, at) => {
      const lease = tokens[at] ?? 0;
      return lease > 0 ? [new Holding(copy, lease)] : [];
    });
  }

  /** Nothing is sent under them any more. */
  async giveBack(held: readonly Holding[]): Promise<void> {
    for (const holding of held) holding.end();
    for (const some of inCalls(held)) await this.own.giveBackLeases(this.gateway, some);
  }
}

/** In pieces that go into one call each. */
export function inCalls<T>(items: readonly T[]): T[][] {
  const calls: T[][] = [];
  for (let at = 0; at < items.length; at += LEASES_PER_CALL_MAX) {
    calls.push(items.slice(at, at + LEASES_PER_CALL_MAX));
  }
  return calls;
}
