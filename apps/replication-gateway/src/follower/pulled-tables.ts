/**
 * The tables that this gateway pulls: looks at the leases of the cluster when they changed and does what
 * the planner says.
 *
 *   look --> take --> work begins        work ends --> forgotten, taken again at a later look
 *        --> give back, drop             session lost --> all work ends
 *
 * In: a clock, the own cluster, what the session's keeper hears. Out: works, one a table. A look that fails
 * changes nothing. While nothing changes there are no looks.
 */
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../gateway-clock.js';
import { textOf } from './failure-kind.js';
import { type Holding, type Holdings, inCalls } from './holdings.js';
import { type LeasePlan, type LeasePlanner } from './lease-planner.js';
import { type CopyList, type HeldSession, type ListedCopy, type OwnCluster } from './ports.js';
import { type SessionKeeper } from './session-keeper.js';
import { type TableWork } from './table-work.js';

export interface PulledTablesParts {
  readonly own: OwnCluster;
  readonly session: Pick<SessionKeeper, 'session'>;
  readonly holdings: Holdings;
  readonly planner: LeasePlanner;
  readonly clock: GatewayClock;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly leaseIntervalMs: number;
  readonly startWork: (holding: Holding) => TableWork;
}

/** A table without commands for so long is given back before others. */
const IDLE_MS = 5_000;

export class PulledTables {
  private readonly works = new Map<string, TableWork>();
  private readonly ends = new Map<string, Promise<void>>();
  private pause = new AbortController();
  private isStopping = false;
  private running: Promise<void> | undefined;
  private copies = 0;
  /** Of the last look that left nothing to be done. */
  private settledAt: HeldSession | undefined;
  private isFailing = false;

  constructor(private readonly parts: PulledTablesParts) {}

  /** Copies in the cluster, as of the last look. */
  get copyCount(): number {
    return this.copies;
  }

  all(): readonly TableWork[] {
    return [...this.works.values()];
  }

  start(): void {
    this.running ??= this.run();
  }

  /** Looks at once, whether the session's keeper has heard of a change or not. */
  look(): void {
    this.settledAt = undefined;
    this.pause.abort();
  }

  /** The leases are others' by now, or may be. */
  endAll(): void {
    for (const { holding } of this.works.values()) holding.end();
  }

  /** The tables of the leader cluster are not what they were. */
  compare(): void {
    for (const work of this.works.values()) work.compare();
  }

  /** Ends all work. The leases are others' once the session is ended. Idempotent. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.look();
    await this.running;
    for (const work of this.works.values()) work.stop();
    await Promise.all(this.ends.values());
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
    const { clock, planner } = this.parts;
    const { session } = this.parts.session;
    if (!session || !this.isDue(session)) return;
    const list = await this.listed(session);
    if (!list) return;
    const { copies } = list;
    const nowMs = clock.nowMs();
    const live = this.all().filter(({ holding }) => !holding.signal.aborted);
    const held = live.map((work) => ({
      copyId: work.holding.copy.id,
      isIdle: work.isIdleSince(nowMs - IDLE_MS),
      isPinned: work.isPinned,
    }));
    // A name keeps its copy while that is made anew: without one, there is nothing to take its place.
    const names = new Set(copies.map(({ table }) => table));
    for (const work of live) if (!names.has(work.table)) work.stop();
    for (const { table, id, renewalWanted } of copies) {
      if (renewalWanted) this.works.get(table)?.renew(id);
    }
    const gateways = session.gateways.map(({ holder }) => holder);
    const reserved = new Set(this.works.keys());
    const plan = planner.plan({ copies, held, gateways, reserved, nowMs });
    if (!plan.isSettled) this.settledAt = undefined;
    await this.follow(plan, new Map(live.map(({ holding }) => [holding.copy.id, holding])));
  }

  private isDue({ version, gateways }: HeldSession): boolean {
    const { settledAt } = this;
    if (settledAt?.version !== version || settledAt.gateways.length !== gateways.length)
      return true;
    return gateways.some(({ holder }, at) => settledAt.gateways[at]?.holder !== holder);
  }

  private async listed(session: HeldSession): Promise<CopyList | undefined> {
    try {
      // What changes from here on is looked at once more.
      this.settledAt = session;
      const list = await this.parts.own.list();
      this.settledAt &&= { ...session, version: list.version };
      this.copies = list.copies.length;
      this.isFailing = false;
      return list;
    } catch (error) {
      this.settledAt = undefined;
      if (!this.isFailing) {
        this.parts.logger.warn({ reason: textOf(error) }, 'no node tells which copies there are');
      }
      this.isFailing = true;
      return undefined;
    }
  }

  /** An error with some leases is no reason to neglect the others. */
  private async follow(plan: LeasePlan, held: ReadonlyMap<number, Holding>): Promise<void> {
    const of = (ids: readonly number[]) => ids.flatMap((id) => held.get(id) ?? []);
    for (const holding of of(plan.drop)) holding.end();
    const given = of(plan.giveBack);
    await this.trying('given back', given.length, () => this.parts.holdings.giveBack(given));
    for (const some of inCalls(plan.take)) {
      if (this.isStopping) return;
      await this.trying('taken', some.length, () => this.take(some));
    }
  }

  private async take(listed: readonly ListedCopy[]): Promise<void> {
    const copies = listed.map(({ table, id, source }) => ({ table, id, source }));
    for (const holding of await this.parts.holdings.takeAll(copies)) this.begin(holding);
  }

  private begin(holding: Holding): void {
    const { logger, startWork } = this.parts;
    const { table, id } = holding.copy;
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
        // It may be this gateway's to begin with again, which no change would tell.
        this.settledAt = undefined;
      });
    this.ends.set(table, ended);
  }

  private async trying(what: string, count: number, act: () => Promise<void>): Promise<void> {
    try {
      if (count > 0) await act();
    } catch (error) {
      this.settledAt = undefined;
      const fields = { tables: count, reason: textOf(error) };
      this.parts.logger.warn(fields, `leases could not be ${what}`);
    }
  }
}
