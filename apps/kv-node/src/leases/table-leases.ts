/**
 * Leases of tables that are copies: who may write what a leader cluster sends into them, alone.
 *
 * In: which tables a gateway wishes, under its session. Out: rows of the catalog, many in one step, changed
 * only if they still are what was looked at, and so are the sessions that they are taken from. Tokens grow
 * with each taking. What is refused is looked at once more on a state that is known to be new.
 */
import { type Catalog } from '../catalog/catalog.service.js';
import { encodeLease, leaseKey } from '../catalog/catalog-rows.js';
import { type LeaseInfo } from '../catalog/catalog-state.js';
import { leasesCommand, type LeaseChange, type StoredSession } from '../catalog/lease-rows.js';
import { leaseGivenBack, leaseUnder } from './lease-rules.js';
import { type Sessions } from './sessions.js';

/** How often a lost race is tried again before the caller is told what it has got. */
const ATTEMPTS_MAX = 4;

export interface LeasesWish {
  readonly holder: string;
  /** Token of its session. */
  readonly session: number;
  readonly tableIds: readonly number[];
}

export interface GivenLease {
  readonly tableId: number;
  readonly token: number;
}

type Change = Omit<LeaseChange, 'stored'> & { readonly current: LeaseInfo | undefined };

export class TableLeases {
  constructor(
    private readonly catalog: Catalog,
    private readonly sessions: Sessions,
  ) {}

  get(tableId: number): LeaseInfo | undefined {
    return this.catalog.state.leases.get(tableId);
  }

  /** How long it still is held, if its holder is not heard of any more. */
  remainingMs({ holder, session }: LeaseInfo): number {
    return holder === '' ? 0 : this.sessions.remainingMs(holder, session);
  }

  /** The tokens of those that were taken; undefined if there is no such session. */
  async take(
    wish: LeasesWish,
    deadlineMs: number,
  ): Promise<ReadonlyMap<number, number> | undefined> {
    const tokens = new Map<number, number>();
    const isAlive = (lease: LeaseInfo) => this.remainingMs(lease) > 0;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (attempt > 0) await this.catalog.barrier(deadlineMs);
      if (!this.sessions.row(wish.holder, wish.session)) {
        if (attempt > 0) return undefined;
        continue;
      }
      const changes = wish.tableIds.flatMap((tableId): Change[] => {
        if (tokens.has(tableId) || !this.catalog.state.copies.has(tableId)) return [];
        const current = this.get(tableId);
        const row = leaseUnder(current, wish, isAlive);
        return row ? [{ tableId, current, row }] : [];
      });
      const done = await this.write(changes, deadlineMs);
      for (const { tableId, row } of done) tokens.set(tableId, Number(row.token));
      if (tokens.size >= wish.tableIds.length) break;
      if (attempt > 0 && done.length === changes.length) break;
    }
    return tokens;
  }

  /** The tokens stay, so that the next ones are higher. Says how many were held still. */
  async giveBack(
    holder: string,
    given: readonly GivenLease[],
    deadlineMs: number,
  ): Promise<number> {
    let released = 0;
    let left = given;
    for (let attempt = 0; attempt < ATTEMPTS_MAX && left.length > 0; attempt++) {
      if (attempt > 0) await this.catalog.barrier(deadlineMs);
      const changes = left.flatMap(({ tableId, token }): Change[] => {
        const current = this.get(tableId);
        const row = leaseGivenBack(current, { holder, token });
        return row ? [{ tableId, current, row }] : [];
      });
      const done = await this.write(changes, deadlineMs);
      released += done.length;
      const ids = new Set(done.map(({ tableId }) => tableId));
      left = left.filter(({ tableId }) => !ids.has(tableId));
      if (attempt > 0 && done.length === changes.length) break;
    }
    return released;
  }

  /** Those that were changed. Rows that are there go in one step, the others one after the other. */
  private async write(changes: readonly Change[], deadlineMs: number): Promise<readonly Change[]> {
    const together: (Change & LeaseChange)[] = [];
    const done: Change[] = [];
    const over = new Map<string, StoredSession>();
    for (const change of changes) {
      const { current, tableId, row } = change;
      if (!current) {
        const value = encodeLease(row);
        const isDone = await this.catalog.replace(leaseKey(tableId), undefined, value, deadlineMs);
        if (isDone) done.push(change);
        continue;
      }
      together.push({ ...change, stored: current.stored });
      const isTaken = current.holder !== row.holder && row.holder !== '';
      const session = isTaken && this.sessions.row(current.holder, current.session);
      if (session) over.set(session.holder, session);
    }
    if (together.length === 0) return done;
    const { command, doneBy } = leasesCommand(together, [...over.values()]);
    const { succeeded } = await this.catalog.propose(command, deadlineMs);
    return succeeded === doneBy ? [...done, ...together] : done;
  }
}
