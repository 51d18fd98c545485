/**
 * Which tables the leader cluster has, and that each has a copy here.
 *
 *   tables --> not here: created                       --> pulled
 *          --> here, LOCAL: left alone, told once
 *          --> here, copy of another table: told to whoever pulls it, who makes it anew
 *          --> not here, and its name is refused: told once, tried again after all others (defect B9)
 *   copies that are not named: deleted if they certainly were deleted there, else kept
 *
 * Looks when something changes, or, where the leader cluster cannot say that, again and again. That
 * a name is missing deletes nothing (defect B10): an answer may be wrong, or of another cluster.
 */
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../gateway-clock.js';
import { copyFailure, textOf } from './failure-kind.js';
import {
  type Copy,
  type CopySource,
  type LeaderCluster,
  type LeaderTables,
  type OwnCluster,
  type ShadowTables,
} from './ports.js';
import { isSame } from './recovery.js';
import { RECOVERY_PURPOSE } from './shadow-fill.js';

export interface DiscoveryParts {
  readonly leader: LeaderCluster;
  readonly own: OwnCluster;
  readonly shadows: ShadowTables;
  readonly clock: GatewayClock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  readonly intervalMs: number;
  /** Copies were created, or are of other tables now. */
  readonly changed: () => void;
}

/** Names in one answer beyond that are left for the next look. */
const CHANGES_PER_LOOK_MAX = 256;
/** Between looks at what is here, where changes there are pushed. */
const PUSHED_INTERVAL_MS = 5_000;

export class TableDiscovery {
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  private heardAtMs: number | undefined;
  private isFailing = false;
  /** Tables that were told of already, so that each is told once. */
  private taken: ReadonlySet<string> = new Set();
  private absent: ReadonlySet<string> = new Set();
  private refused: ReadonlySet<string> = new Set();

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

  /** Tables of the leader cluster that this cluster refuses to have, by their names or their number. */
  get refusedNames(): number {
    return this.refused.size;
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
    const { clock, intervalMs, leader, logger } = this.parts;
    while (!signal.aborted) {
      // A change that comes during the look is not missed.
      const waiting = new AbortController();
      const changed = leader.changed(waiting.signal).then(() => waiting.abort());
      let pauseMs = intervalMs;
      try {
        if (await this.look()) pauseMs = Math.max(intervalMs, PUSHED_INTERVAL_MS);
        this.isFailing = false;
      } catch (error) {
        if (!this.isFailing && !signal.aborted) {
          logger.warn({ reason: textOf(error) }, 'the tables are not known for now');
        }
        this.isFailing = true;
      }
      const stop = () => waiting.abort();
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
      await clock.sleep(pauseMs, waiting.signal);
      signal.removeEventListener('abort', stop);
      waiting.abort();
      await changed;
    }
  }

  /** Whether the next change will be told. Rejects with what either cluster says. */
  async look(): Promise<boolean> {
    const { leader, own, clock, changed } = this.parts;
    const tables = await leader.tables(this.stopping.signal);
    this.heardAtMs = clock.nowMs();
    const { copies, localTables } = await own.list();
    const here = new Set([...copies.map(({ table }) => table), ...localTables]);
    const gone = copies.filter(({ table, source }) => {
      return !tables.sources.has(table) && tables.isDeleted(source);
    });
    this.tell(
      tables.sources,
      new Set(localTables),
      copies.filter((copy) => !gone.includes(copy)).map(({ table }) => table),
    );
    for (const copy of gone.slice(0, CHANGES_PER_LOOK_MAX)) await this.delete(copy);
    if (tables.isPushed && copies.some((copy) => isOfOtherTable(copy, tables))) changed();
    const missing = this.inTurn([...tables.sources].filter(([name]) => !here.has(name)));
    await this.createAll(missing.slice(0, CHANGES_PER_LOOK_MAX));
    const isAll = Math.max(missing.length, gone.length) <= CHANGES_PER_LOOK_MAX;
    return tables.isPushed && isAll;
  }

  /** What was refused before comes last: it must not keep what is new from being made. */
  private inTurn(missing: readonly [string, CopySource][]): [string, CopySource][] {
    const isRefused = ([name]: readonly [string, CopySource]) => this.refused.has(name);
    return [...missing.filter((each) => !isRefused(each)), ...missing.filter(isRefused)];
  }

  /** Rejects where the cluster cannot be asked now; a name that it refuses is left out alone. */
  private async createAll(missing: readonly (readonly [string, CopySource])[]): Promise<void> {
    const refused = new Set<string>();
    for (const [table, source] of missing) {
      try {
        await this.create(table, source);
      } catch (error) {
        if (copyFailure(error) !== 'copy-refused') throw error;
        refused.add(table);
        if (this.refused.has(table)) continue;
        this.refused = new Set([...this.refused, table]);
        this.parts.logger.warn({ table, reason: textOf(error) }, 'a table is refused here');
      }
    }
    this.refused = refused;
  }

  private async create(table: string, source: CopySource): Promise<void> {
    const { own, logger, changed } = this.parts;
    const { outcome, id } = await own.create(table, source);
    if (outcome !== 'created') return;
    logger.info({ table, copy: id }, 'a table of the leader cluster is new here');
    changed();
  }

  private async delete({ table, id, source }: Copy): Promise<void> {
    const { own, shadows, logger } = this.parts;
    const outcome = await own.delete(table, source);
    if (outcome !== 'deleted') return;
    logger.info(
      { table, copy: id },
      'a table was deleted in the leader cluster, and so is its copy',
    );
    for (const shadow of await shadows.list()) {
      // What was being filled to take its place has none to take any more.
      const isLeft = shadow.table === table && shadow.purpose === RECOVERY_PURPOSE;
      if (isLeft) await shadows.drop(shadow);
    }
  }

  private tell(
    named: ReadonlyMap<string, CopySource>,
    local: ReadonlySet<string>,
    copies: readonly string[],
  ): void {
    const { logger } = this.parts;
    const taken = new Set([...named.keys()].filter((name) => local.has(name)));
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

function isOfOtherTable({ table, source }: Copy, { sources }: LeaderTables): boolean {
  const now = sources.get(table);
  return now !== undefined && !isSame(now, source);
}
