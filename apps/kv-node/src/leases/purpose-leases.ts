/**
 * Leases by purpose: who does what only one may do at a time in a cluster, such as running the schedule
 * of backups (`flotilla.tables.v1.Leases`).
 *
 *   nobody's or run out --> taken, token + 1 --> held on to, same token --> given back or run out
 *
 * In: checked wishes, at any node. Out: rows of the catalog, changed only if they still are what was
 * looked at. A row is never deleted: its token must grow for ever. Time is as for the leases of tables.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type Catalog } from '../catalog/catalog.service.js';
import { encodeLease, purposeKey, type LeaseRow } from '../catalog/catalog-rows.js';
import { type LeaseInfo } from '../catalog/catalog-state.js';
import { newPurposeCommand } from '../catalog/lease-rows.js';
import { leaseGivenBack, leaseTaken, type TimedWish } from './lease-rules.js';
import { type NodeClock } from '../node/node-clock.js';

/** Different purposes that a cluster remembers. */
export const PURPOSES_MAX = 64;
/** How often a lost race is tried again before the caller is told that it has not got the lease. */
const ATTEMPTS_MAX = 4;

export interface PurposeHold {
  readonly purpose: string;
  readonly holder: string;
  /** The one that the holder has, to hold on; 0 to take the lease. */
  readonly token: number;
}

export type PurposeWish = PurposeHold & TimedWish;

export interface PurposeOutcome {
  readonly isDone: boolean;
  /** As it is now, whoever has it. */
  readonly lease: PurposeHeld | undefined;
}

export type PurposeHeld = Pick<LeaseInfo, 'holder' | 'token' | 'expiresAtMs'>;

type Next = (current: LeaseInfo | undefined) => LeaseRow | undefined;

export class PurposeLeases {
  constructor(
    private readonly catalog: Catalog,
    private readonly clock: Pick<NodeClock, 'wallMs'>,
  ) {}

  /** How long it still is held. */
  remainingMs({ holder, expiresAtMs }: PurposeHeld): number {
    return holder === '' ? 0 : Math.max(0, expiresAtMs - this.clock.wallMs());
  }

  acquire(wish: PurposeWish, deadlineMs: number): Promise<PurposeOutcome> {
    return this.change(wish.purpose, deadlineMs, (current) =>
      leaseTaken(current, wish, this.clock.wallMs()),
    );
  }

  /** The token stays, so that the next one is higher. */
  async release(hold: PurposeHold, deadlineMs: number): Promise<boolean> {
    const next: Next = (current) => leaseGivenBack(current, hold);
    return (await this.change(hold.purpose, deadlineMs, next)).isDone;
  }

  /** What is refused is looked at once more on a state that is known to be new. */
  private async change(purpose: string, deadlineMs: number, next: Next): Promise<PurposeOutcome> {
    const { catalog } = this;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const current = catalog.state.purposes.get(purpose);
      const row = next(current);
      const isFull = !current && catalog.state.purposes.size >= PURPOSES_MAX;
      if (row === undefined || isFull) {
        if (attempt > 0 && isFull) throw tooMany();
        if (attempt > 0) return { isDone: false, lease: current };
      } else if (await this.write(purpose, current, row, deadlineMs)) {
        const { holder, token, expiresAtMs } = row;
        const [tokenNumber, expires] = [Number(token), Number(expiresAtMs)];
        return { isDone: true, lease: { holder, token: tokenNumber, expiresAtMs: expires } };
      }
      await catalog.barrier(deadlineMs);
    }
    return { isDone: false, lease: catalog.state.purposes.get(purpose) };
  }

  private async write(
    purpose: string,
    current: LeaseInfo | undefined,
    row: LeaseRow,
    deadlineMs: number,
  ): Promise<boolean> {
    const { catalog } = this;
    if (current) {
      return catalog.replace(purposeKey(purpose), current.stored, encodeLease(row), deadlineMs);
    }
    const { command, doneBy } = newPurposeCommand(purpose, row, catalog.state.purposeCount);
    return (await catalog.propose(command, deadlineMs)).succeeded === doneBy;
  }
}

function tooMany(): GrpcStatusError {
  const text = `purpose is one too many: a cluster remembers ${PURPOSES_MAX}`;
  return new GrpcStatusError(status.RESOURCE_EXHAUSTED, text);
}
