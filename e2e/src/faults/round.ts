/**
 * Load and faults on three real nodes, from the first start to the last check.
 *
 *   start, tables, rows ─▶ load ─▶ episode ─▶ progress? ─▶ calm ─▶ episode ... ─▶ stop ─▶ checks ─▶ report
 *
 * In: a seed and for how long. Out: a report. On a violation nothing more is broken, and all that could
 * explain it is kept: what nodes wrote and printed, the histories, what was done when.
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type mvccV1 } from '@flotilla/proto';
import { ClientPool } from './client-pool.js';
import { FaultCluster } from './fault-cluster.js';
import { checkFinally, PROGRESS_MS } from './final-checks.js';
import { Injector } from './injector.js';
import { Judge } from './judge.js';
import { Load } from './load.js';
import { Random } from './random.js';
import { episodes, type Episode, type FaultKind } from './schedule.js';
import { TableFigures } from './table-figures.js';
import { writeValue } from './values.js';

const TABLES = ['a', 'b', 'c'] as const;
/** What a call may take before the load begins, on a machine that does other things too. */
const FILL_MS = 60_000;
/** Rows that nobody changes: they make states and snapshots large enough to be interrupted. */
const STILL_ROWS = 1_500;
const STILL_ROW_BYTES = 1_024;
const STILL_ROWS_PER_TXN = 500;
const LOOK_MS = 50;
const VIOLATIONS_MAX = 20;

export interface RoundOptions {
  readonly seed: number;
  /** Whichever comes first. */
  readonly forMs: number;
  readonly episodesMax: number;
  readonly kinds: readonly FaultKind[];
  readonly clients: number;
  readonly keepHistories: boolean;
  readonly print: (line: string) => void;
  /** Ends the round at once, without a verdict: `runRound` throws what it was aborted with. */
  readonly signal: AbortSignal;
}

export interface Report {
  readonly episodes: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly tables: ReadonlyMap<string, TableFigures>;
  readonly violations: readonly string[];
  /** What is left to look at, if anything is. */
  readonly folder: string | undefined;
}

export async function runRound(options: RoundOptions): Promise<Report> {
  const nodes = await FaultCluster.start();
  const round = new Round(options, nodes);
  let keepFolder = true;
  try {
    const report = await Promise.race([round.run(), aborted(options.signal)]);
    keepFolder = report.folder !== undefined;
    return report;
  } catch (error) {
    if (options.signal.aborted) keepFolder = false;
    throw error;
  } finally {
    round.close();
    await nodes.dispose({ keepFolder });
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

class Round {
  private readonly pool = new ClientPool();
  private readonly figures = new Map(TABLES.map((table) => [table as string, new TableFigures()]));
  private readonly violations: string[] = [];
  private readonly injector: Injector;
  private readonly judge: Judge;
  private readonly load: Load;
  private readonly schedule: Generator<Episode, never>;
  private readonly beganMs = performance.now();
  private episodesDone = 0;

  constructor(
    private readonly options: RoundOptions,
    private readonly nodes: FaultCluster,
  ) {
    const random = new Random(options.seed);
    const { pool, figures } = this;
    const onViolation = (what: string) => this.violated(what);
    this.schedule = episodes(random.fork(), options.kinds);
    this.injector = new Injector(
      nodes,
      TABLES,
      (line) => this.log(line),
      () => pool.refresh(nodes.members),
    );
    const judging = { pool, random: random.fork(), figures, keepAll: options.keepHistories };
    this.judge = new Judge({ ...judging, folder: join(nodes.folder, 'histories'), onViolation });
    this.load = new Load({
      tables: TABLES,
      clients: options.clients,
      pool,
      random: random.fork(),
      figures,
      onClosed: (generation) => this.judge.take(generation),
      onViolation,
    });
    pool.refresh(nodes.members);
  }

  async run(): Promise<Report> {
    await this.fill();
    const untilMs = performance.now() + this.options.forMs;
    for (const figures of this.figures.values()) figures.begin();
    this.load.start();
    await this.progress('the load has begun');
    while (
      performance.now() < untilMs &&
      this.episodesDone < this.options.episodesMax &&
      this.goesOn
    ) {
      await this.episode(this.schedule.next().value);
    }
    await this.load.stop();
    await this.judge.end();
    this.log('the load has ended');
    for (const what of await checkFinally(this.nodes, TABLES, this.judge.lastSeen)) {
      this.violated(what);
    }
    const isKept = this.violations.length > 0 || this.options.keepHistories;
    return {
      episodes: this.episodesDone,
      faults: this.injector.counts,
      tables: this.figures,
      violations: this.violations,
      folder: isKept ? this.nodes.folder : undefined,
    };
  }

  close(): void {
    this.pool.close();
  }

  private get goesOn(): boolean {
    return this.violations.length === 0 && !this.options.signal.aborted;
  }

  private async episode(episode: Episode): Promise<void> {
    this.episodesDone++;
    try {
      await this.injector.run(episode);
    } catch (error) {
      this.violated(error instanceof Error ? error.message : String(error));
      return;
    }
    await this.progress(`episode ${this.episodesDone} has ended`);
    if (this.goesOn) await sleep(episode.calmMs);
  }

  /** Every table takes writes and reads again, soon. */
  private async progress(since: string): Promise<void> {
    const healedMs = performance.now();
    const behind = () =>
      [...this.figures].filter(
        ([, { lastAcknowledgedMs, lastReadMs }]) =>
          Math.min(lastAcknowledgedMs, lastReadMs) < healedMs,
      );
    while (behind().length > 0 && this.goesOn) {
      if (performance.now() - healedMs > PROGRESS_MS) {
        const tables = behind().map(([table]) => table);
        this.violated(
          `no progress for ${PROGRESS_MS} ms since ${since}, table ${tables.join(', ')}`,
        );
      }
      await sleep(LOOK_MS);
    }
    const waitedMs = performance.now() - healedMs;
    this.log(`${since}; the cluster goes on after ${waitedMs.toFixed(0)} ms`);
  }

  private async fill(): Promise<void> {
    const client = this.pool.of(this.nodes.idAt(0));
    for (const table of TABLES) {
      await client.createTable(table);
      for (let from = 0; from < STILL_ROWS; from += STILL_ROWS_PER_TXN) {
        const success = Array.from({ length: STILL_ROWS_PER_TXN }, (_, at) => stillRow(from + at));
        await client.txn({ table, compare: [], success, failure: [] }, { timeoutMs: FILL_MS });
      }
    }
  }

  private violated(what: string): void {
    // Connections are closed under the load then: what it gets says nothing of the nodes.
    if (this.options.signal.aborted) return;
    if (this.violations.length >= VIOLATIONS_MAX) return;
    this.violations.push(what);
    this.log(`VIOLATION ${what}`);
  }

  private log(line: string): void {
    const seconds = ((performance.now() - this.beganMs) / 1_000).toFixed(3).padStart(9);
    const text = `${new Date().toISOString()} ${seconds} s  ${line}`;
    this.options.print(text);
    appendFileSync(join(this.nodes.folder, 'faults.log'), `${text}\n`);
  }
}

function stillRow(at: number): mvccV1.RequestOp {
  const key = Buffer.from(`still/${String(at).padStart(6, '0')}`);
  const value = Buffer.concat([writeValue(`still-${at}`), Buffer.alloc(STILL_ROW_BYTES, at % 256)]);
  return { request: { $case: 'requestPut', value: { key, value, prevKv: false } } };
}
