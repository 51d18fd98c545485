/**
 * Backups, prunes and restores under kills, from the first start to the last check.
 *
 *   start, tables, rows ─▶ a backup ─▶ round ─▶ all listed are good, tables as known ─▶ round ... ─▶ clean up ─▶ report
 *
 * In: a seed and for how long. Out: a report. After a problem nothing more is killed, and what the nodes wrote and
 * the store holds is kept for somebody to look at.
 */
import { Random } from '../../faults/random.js';
import { MadeValues } from '../../harness/made-values.js';
import { Asking } from './asking.js';
import { BackupCalls } from './backup-calls.js';
import { BackupJudge } from './backup-judge.js';
import { BackupSite, type StoreKind } from './backup-site.js';
import { BackupWorks } from './backup-works.js';
import { KnownTable } from './known-table.js';
import { KnownWriters } from './known-writers.js';
import { type RoundPlan, rounds } from './schedule.js';

const TABLES = ['a', 'b'] as const;
const VALUE_BYTES_MIN = 8;
const VALUE_BYTES_MAX = 56 * 1024;
/** Longer than a node is away: what takes so long is answered, and not merely given up. */
const CLIENT_MS = 120_000;
const ROUNDS_PER_CLEANING = 9;
const PROBLEMS_MAX = 20;

export interface BackupFaultsOptions {
  readonly seed: number;
  readonly store: StoreKind;
  readonly nodes: number;
  /** Whichever comes first. */
  readonly rounds: number;
  readonly forMs: number;
  readonly print: (line: string) => void;
  /** Ends it at once, without a verdict: `runBackupFaults` throws what it was aborted with. */
  readonly signal: AbortSignal;
}

export interface BackupFaultsReport {
  readonly rounds: number;
  /** Rounds by what was done and what was killed under it, too late or not. */
  readonly kills: ReadonlyMap<string, number>;
  readonly interrupted: number;
  readonly cleanedRuns: number;
  readonly writes: number;
  readonly unknownWrites: number;
  readonly verified: number;
  readonly rows: number;
  readonly hashes: number;
  readonly problems: readonly string[];
  /** What is left to look at, if anything is. */
  readonly folders: readonly string[];
}

export async function runBackupFaults(options: BackupFaultsOptions): Promise<BackupFaultsReport> {
  options.signal.throwIfAborted();
  const site = await BackupSite.start(options.nodes, options.store);
  const run = new BackupFaults(options, site);
  let keepFolder = true;
  try {
    const report = await Promise.race([run.run(), aborted(options.signal)]);
    keepFolder = report.problems.length > 0;
    return report;
  } catch (error) {
    keepFolder = !options.signal.aborted;
    throw error;
  } finally {
    run.end();
    await site.dispose({ keepFolder });
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = () => reject(signal.reason as Error);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

class BackupFaults {
  private readonly problems: string[] = [];
  private readonly kills = new Map<string, number>();
  private readonly writers: readonly KnownWriters[];
  private readonly judge: BackupJudge;
  private readonly works: BackupWorks;
  private readonly schedule: Generator<RoundPlan, never, undefined>;
  private readonly client;
  private done = 0;
  private interrupted = 0;
  private cleanedRuns = 0;
  private values = 0;
  private isOver = false;

  constructor(
    private readonly options: BackupFaultsOptions,
    private readonly site: BackupSite,
  ) {
    const random = new Random(options.seed);
    const calls = new BackupCalls(site.app.address);
    const made = new MadeValues(options.seed, VALUE_BYTES_MIN, VALUE_BYTES_MAX);
    const next = () => {
      const content = this.values++;
      return { content, value: made.value(content) };
    };
    const found = (what: string) => this.found(what);
    this.schedule = rounds(random.fork(), site.victims);
    this.client = site.cluster.client(undefined, CLIENT_MS);
    this.writers = TABLES.map((table) => {
      return new KnownWriters(table, new KnownTable(made), this.client, random.fork(), next);
    });
    this.judge = new BackupJudge(site, calls, found);
    const asking = new Asking(site);
    const { client, judge, writers } = this;
    this.works = new BackupWorks(site, calls, asking, judge, client, writers, found);
  }

  async run(): Promise<BackupFaultsReport> {
    await this.fill();
    const untilMs = performance.now() + this.options.forMs;
    await this.round({ ...this.schedule.next().value, work: 'full', victim: undefined });
    while (this.done < this.options.rounds && performance.now() < untilMs && this.goesOn) {
      await this.round(this.schedule.next().value);
    }
    for (const writers of this.writers) await writers.rest();
    if (this.goesOn) this.cleanedRuns += await this.judge.cleaned();
    const sum = (of: (writers: KnownWriters) => number) =>
      this.writers.reduce((total, each) => total + of(each), 0);
    const { verified, rows, hashes } = this.judge;
    return {
      rounds: this.done,
      kills: this.kills,
      interrupted: this.interrupted,
      cleanedRuns: this.cleanedRuns,
      writes: sum(({ acknowledged }) => acknowledged),
      unknownWrites: sum(({ unknown }) => unknown),
      verified,
      rows,
      hashes,
      problems: this.problems,
      folders: this.problems.length > 0 ? this.site.folders : [],
    };
  }

  /** What still goes on is told nothing any more. */
  end(): void {
    this.isOver = true;
  }

  private get goesOn(): boolean {
    return this.problems.length === 0 && !this.isOver && !this.options.signal.aborted;
  }

  private async fill(): Promise<void> {
    for (const writers of this.writers) {
      await this.client.createTable(writers.table);
      await writers.fill();
    }
    for (const { name, id } of await this.client.listTables()) {
      const writers = this.writers.find(({ table }) => table === name);
      if (writers) this.judge.known.set(Number(id), writers.known);
    }
  }

  private async round(plan: RoundPlan): Promise<void> {
    const nth = ++this.done;
    const { work, victim } = plan;
    const name = `${work} / ${victim ?? 'nothing'}`;
    this.kills.set(name, (this.kills.get(name) ?? 0) + 1);
    for (const writers of this.writers) writers.start();
    let told = '';
    try {
      const { text, wasInterrupted, isGivenUp = false } = await this.works.run(plan);
      if (wasInterrupted) this.interrupted++;
      told = text;
      const backups = await this.judge.listed();
      told += `; ${backups.length} backups are good`;
      await this.compareLive();
      // What was given up is left for the next run with the same wish, or dies for good.
      if (nth % ROUNDS_PER_CLEANING === 0 || (isGivenUp && plan.choice % 2 === 0)) {
        const cleaned = await this.judge.cleaned();
        this.cleanedRuns += cleaned;
        told += `; ${cleaned} dead runs cleaned up`;
      }
    } catch (error) {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.found(`${work} failed: ${reason}\n${this.site.app.output}`);
    }
    this.log(`round ${nth}: ${work}, ${told}`);
  }

  private async compareLive(): Promise<void> {
    for (const writers of this.writers) {
      await writers.rest();
      for (const failure of writers.failures.splice(0)) this.found(failure);
      await this.judge.live(writers.table, writers.known);
    }
  }

  private found(what: string): void {
    // Processes are ended under the work then: what it gets says nothing of them.
    if (this.isOver || this.options.signal.aborted) return;
    if (this.problems.length >= PROBLEMS_MAX) return;
    this.problems.push(what);
    this.log(`PROBLEM ${what}`);
  }

  private log(line: string): void {
    if (!this.isOver) this.options.print(line);
  }
}
