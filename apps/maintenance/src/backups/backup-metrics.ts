/**
 * What the app says of its backups when it is scraped: how old the newest good one is above all.
 *
 * In: what became of runs, drills and prunes. Out: metrics. Tables beyond a bound are not told one by one.
 */
import { type Manifest } from '@flotilla/backup';
import { Counter, Gauge, type Registry } from 'prom-client';
import { type MaintenanceClock } from '../maintenance-clock.js';

/** Tables whose revision is told. */
export const TOLD_TABLES_MAX = 1_000;

const OUTCOMES = ['done', 'failed', 'skipped'] as const;
const WORKS = ['full', 'incremental', 'drill', 'prune'] as const;
/** `skipped`: left to another run, or to another app. */
export type Outcome = (typeof OUTCOMES)[number];
export type Work = (typeof WORKS)[number];

export class BackupMetrics {
  /** The newest good backup there is, whoever made it. */
  newest: Manifest | undefined;
  private drill: { readonly atMs: number; readonly isGood: boolean } | undefined;
  private readonly runs: Counter<'work' | 'outcome'>;
  private readonly durationSeconds: Gauge<'work'>;

  constructor(registry: Registry, clock: Pick<MaintenanceClock, 'wallMs'>) {
    const registers = [registry];
    this.runs = new Counter({
      name: 'flotilla_backup_runs_total',
      help: 'Backups, drills and prunes, by schedule or by hand, by how they ended.',
      labelNames: ['work', 'outcome'],
      registers,
    });
    // What has never failed yet is 0, so that its first failure is seen as a change.
    for (const work of WORKS) for (const outcome of OUTCOMES) this.runs.inc({ work, outcome }, 0);
    this.durationSeconds = new Gauge({
      name: 'flotilla_backup_last_duration_seconds',
      help: 'How long the last one took that ended well.',
      labelNames: ['work'],
      registers,
    });
    this.newestGauges(registers, clock);
    const drill = () => this.drill;
    new Gauge({
      name: 'flotilla_backup_drill_good',
      help: 'Whether the last restore drill succeeded; none of this before the first one.',
      registers,
      collect() {
        this.reset();
        const last = drill();
        if (last) this.set(last.isGood ? 1 : 0);
        else this.remove();
      },
    });
  }

  ended(work: Work, outcome: Outcome, durationMs: number, atMs: number): void {
    this.runs.inc({ work, outcome });
    if (outcome === 'done') this.durationSeconds.set({ work }, durationMs / 1_000);
    if (work === 'drill' && outcome !== 'skipped')
      this.drill = { atMs, isGood: outcome === 'done' };
  }

  private newestGauges(registers: Registry[], clock: Pick<MaintenanceClock, 'wallMs'>): void {
    const newest = () => this.newest;
    const gauge = (name: string, help: string, valueOf: (manifest: Manifest) => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          const manifest = newest();
          if (manifest) this.set(valueOf(manifest));
          else this.remove();
        },
      });
    gauge(
      'flotilla_backup_age_seconds',
      'Age of the newest good backup: what would be lost, counted from when it began.',
      ({ startedAt }) => (clock.wallMs() - Date.parse(startedAt)) / 1_000,
    );
    gauge('flotilla_backup_stored_bytes', 'Size of the newest good backup.', ({ tables }) =>
      tables.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
    );
    gauge(
      'flotilla_backup_tables',
      'Tables of the newest good backup.',
      ({ tables }) => tables.length,
    );
    new Gauge({
      name: 'flotilla_backup_table_revision',
      help: 'Revision of a table in the newest good backup.',
      labelNames: ['table'],
      registers,
      collect() {
        this.reset();
        const told = newest()?.tables.slice(0, TOLD_TABLES_MAX) ?? [];
        for (const { name, revision } of told) this.set({ table: name }, revision);
      },
    });
  }
}
