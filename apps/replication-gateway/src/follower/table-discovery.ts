/**
 * Which tables the leader cluster has, and that each has a copy here.
 *
 *   Metadata.Get --> names --> not here: created   --> pulled
 *                          --> here, LOCAL: left alone, told once
 *   copies that are not among the names: kept. An answer may be wrong, or of another cluster.
 *
 * Asks at once and then again and again: the protocol of Regatta has no other way. Nothing is ever
 * deleted here, because that protocol has no answer that says "deleted" (defect B10).
 */
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../gateway-clock.js';
import { textOf } from './failure-kind.js';
import { type LeaderCluster, type OwnCluster } from './ports.js';
import { FIRST_EPOCH } from './recovery.js';

export interface DiscoveryParts {
  readonly leader: LeaderCluster;
  readonly own: OwnCluster;
  readonly clock: GatewayClock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly intervalMs: number;
  /** Whether the copy of a table is being replaced here, and must not be created meanwhile. */
  readonly isBusyWith: (table: string) => boolean;
  readonly created: () => void;
}

/** Names in one answer beyond that are left for the next look. */
const CREATED_PER_LOOK_MAX = 256;

export class TableDiscovery {
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  private heardAtMs: number | undefined;
  private isFailing = false;
  /** Tables that were told of already, so that each is told once. */
  private taken: ReadonlySet<string> = new Set();
  private absent: ReadonlySet<string> = new Set();

  constructor(private readonly parts: DiscoveryParts) {}

  /** When the leader cluster last said which tables it has, on this gateway's clock. */
  get lastHeardMs(): number | undefined {
    return this.heardAtMs;
  }

  /** Copies whose tables the leader cluster did not name when it was last asked. */
  get unlisted(): number {
    return this.absent.size;
  }

  /** Tables of the leader cluster whose names are those of local tables here. */
  get conflicts(): number {
    return this.taken.size;
  }

  start(): void {
    this.running ??= this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      try {
        await this.look();
        this.isFailing = false;
      } catch (error) {
        if (!this.isFailing && !signal.aborted) {
          this.parts.logger.warn({ reason: textOf(error) }, 'the tables are not known for now');
        }
        this.isFailing = true;
      }
      await this.parts.clock.sleep(this.parts.intervalMs, signal);
    }
  }

  /** Rejects with what either cluster says. */
  async look(): Promise<void> {
    const { leader, own, clock, isBusyWith } = this.parts;
    const names = await leader.tables(this.stopping.signal);
    this.heardAtMs = clock.nowMs();
    const { copies, localTables } = await own.list();
    const here = new Set([...copies.map(({ table }) => table), ...localTables]);
    const missing = names.filter((name) => !here.has(name) && !isBusyWith(name));
    this.tell(
      names,
      new Set(localTables),
      copies.map(({ table }) => table),
    );
    for (const name of missing.slice(0, CREATED_PER_LOOK_MAX)) await this.create(name);
  }

  private async create(table: string): Promise<void> {
    const { own, logger, created } = this.parts;
    const { outcome, id } = await own.create(table, { tableId: 0, epoch: FIRST_EPOCH });
    if (outcome !== 'created') return;
    logger.info({ table, copy: id }, 'a table of the leader cluster is new here');
    created();
  }

  private tell(
    names: readonly string[],
    local: ReadonlySet<string>,
    copies: readonly string[],
  ): void {
    const { logger } = this.parts;
    const named = new Set(names);
    const taken = new Set(names.filter((name) => local.has(name)));
    const absent = new Set(copies.filter((name) => !named.has(name)));
    for (const table of taken) {
      if (!this.taken.has(table)) logger.warn({ table }, 'a local table has the name: not copied');
    }
    for (const table of absent) {
      if (this.absent.has(table)) continue;
      logger.warn({ table }, 'the leader cluster does not name a table; its copy stays');
    }
    this.taken = taken;
    this.absent = absent;
  }
}
