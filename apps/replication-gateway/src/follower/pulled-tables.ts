/**
 * The tables that this gateway pulls: looks at the leases of the cluster and does what the planner
 * says.
 *
 *   look --> take --> work begins        work ends --> forgotten, taken again at a later look
 *        --> renew, give back, drop
 *
 * In: a clock, the own cluster. Out: works, one a table. A look that fails changes nothing but what
 * runs out: a lease that was not renewed in time is over.
 */
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../gateway-clock.js';
import { textOf } from './failure-kind.js';
import { type Holding, type Holdings } from './holdings.js';
import { type LeasePlan, type LeasePlanner } from './lease-planner.js';
import { type ListedCopy, type OwnCluster } from './ports.js';
import { type TableWork } from './table-work.js';

export interface PulledTablesParts {
  readonly gateway: string;
  readonly own: OwnCluster;
  readonly holdings: Holdings;
  readonly planner: LeasePlanner;
  readonly clock: GatewayClock;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly leaseIntervalMs: number;
  readonly startWork: (holding: Holding) => TableWork;
}

/** A table without commands for so long may be offered to other gateways. */
const IDLE_MS = 5_000;
/** Calls for leases that are open at a time. */
const LEASE_CALLS_MAX = 32;

export class PulledTables {
  private readonly works = new Map<string, TableWork>();
  private readonly ends = new Map<string, Promise<void>>();
  private pause = new AbortController();
  private isStopping = false;
  private running: Promise<void> | undefined;
  private copies = 0;
  private lookedAtMs: number | undefined;
  private isFailing = false;

  constructor(private readonly parts: PulledTablesParts) {}

  /** Copies in the cluster, as of the last look. */
  get copyCount(): number {
    return this.copies;
  }

  /** When the cluster last told its copies, on this gateway's clock. */
  get lastLookMs(): number | undefined {
    return this.lookedAtMs;
  }

  all(): readonly TableWork[] {
    return [...this.works.values()];
  }

  start(): void {
    this.running ??= this.run();
  }

  /** Looks at once instead of when it is due. */
  look(): void {
    this.pause.abort();
  }

  /** The tables of the leader cluster are not what they were. */
  compare(): void {
    for (const work of this.works.values()) work.compare();
  }

  /** Ends all work and gives the leases back, so that other gateways go on at once. Idempotent. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.look();
    await this.running;
    const held = this.all()
      .map(({ holding }) => holding)
      .filter(({ signal }) => !signal.aborted);
    for (const work of this.works.values()) work.stop();
    await Promise.all(this.ends.values());
    await this.giveBack(held);
  }

  private async run(): Promise<void> {
    while (!this.isStopping) {
      await this.tick();
      if (this.isStopping) return;
      await this.parts.clock.sleep(this.parts.leaseIntervalMs, this.pause.signal);
      if (this.pause.signal.aborted) this.pause = new AbortController();
    }
  }

  /** One look, and what follows from it. */
  async tick(): Promise<void> {
    const { clock, own, planner } = this.parts;
    const copies = await this.listed(own);
    const nowMs = clock.nowMs();
    for (const { holding } of this.works.values()) if (holding.heldUntilMs <= nowMs) holding.end();
    const live = this.all().filter(({ holding }) => !holding.signal.aborted);
    const held = live.map((work) => ({
      copyId: work.holding.copy.id,
      renewedAtMs: work.holding.renewedAtMs,
      isIdle: work.isIdleSince(nowMs - IDLE_MS),
      isPinned: work.isPinned,
    }));
    if (!copies) {
      await this.renew(live.map(({ holding }) => holding));
      return;
    }
    // A name keeps its copy while that is made anew: without one, there is nothing to take its place.
    const names = new Set(copies.map(({ table }) => table));
    for (const work of live) if (!names.has(work.table)) work.stop();
    const reserved = new Set(this.works.keys());
    const plan = planner.plan({ copies, held, reserved, nowMs });
    await this.follow(plan, new Map(live.map(({ holding }) => [holding.copy.id, holding])));
  }

  private async listed(own: OwnCluster): Promise<readonly ListedCopy[] | undefined> {
    try {
      const { copies } = await own.list();
      this.copies = copies.length;
      this.lookedAtMs = this.parts.clock.nowMs();
      this.isFailing = false;
      return copies;
    } catch (error) {
      if (!this.isFailing) {
        this.parts.logger.warn({ reason: textOf(error) }, 'no node tells which copies there are');
      }
      this.isFailing = true;
      return undefined;
    }
  }

  private async follow(plan: LeasePlan, held: ReadonlyMap<number, Holding>): Promise<void> {
    const of = (ids: readonly number[]) => ids.flatMap((id) => held.get(id) ?? []);
    for (const holding of of(plan.drop)) holding.end();
    await Promise.all([
      this.renew(of(plan.renew)),
      this.giveBack(of(plan.giveBack)),
      this.each(
        plan.take,
        'taken',
        ({ table }) => table,
        (copy) => this.take(copy),
      ),
    ]);
  }

  private renew(held: readonly Holding[]): Promise<void> {
    return this.each(held, 'renewed', tableOf, (holding) => this.parts.holdings.renew(holding));
  }

  private giveBack(held: readonly Holding[]): Promise<void> {
    const { holdings } = this.parts;
    return this.each(held, 'given back', tableOf, (holding) => holdings.giveBack(holding));
  }

  private async take(copy: ListedCopy): Promise<void> {
    const { gateway, holdings, logger, startWork } = this.parts;
    const { table, id, source } = copy;
    const holding = await holdings.take({ table, id, source }, gateway);
    if (!holding) return;
    logger.info({ table, copy: id, lease: holding.token }, 'pulling a table');
    const work = startWork(holding);
    this.works.set(table, work);
    const ended = work
      .run()
      .catch((error: unknown) => {
        logger.error({ table, err: error }, 'the work on a table broke down');
        work.holding.end();
      })
      .finally(() => {
        this.works.delete(table);
        this.ends.delete(table);
      });
    this.ends.set(table, ended);
  }

  /** An error with one lease is no reason to neglect the others. */
  private async each<T>(
    items: readonly T[],
    what: string,
    nameOf: (item: T) => string,
    act: (item: T) => Promise<void>,
  ): Promise<void> {
    const waiting = items.values();
    const worker = async (): Promise<void> => {
      for (const item of waiting) {
        try {
          await act(item);
        } catch (error) {
          const fields = { table: nameOf(item), reason: textOf(error) };
          this.parts.logger.warn(fields, `a lease could not be ${what}`);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(LEASE_CALLS_MAX, items.length) }, worker));
  }
}

function tableOf({ copy }: Holding): string {
  return copy.table;
}
