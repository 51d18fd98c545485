/**
 * What the app says of shipped logs when it is scraped: how old the oldest entry is that is not stored, above
 * all.
 *
 * In: figures of the shipping. Out: metrics. Tables beyond a bound are not told one by one.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import { TOLD_TABLES_MAX } from './backup-metrics.js';
import { type LogShippingFigures } from './log-shipping.js';

export function addLogMetrics(registry: Registry, figures: () => LogShippingFigures): void {
  const registers = [registry];
  new Gauge({
    name: 'flotilla_backup_log_shipped_revision',
    help: 'Last revision of a table that is in the store.',
    labelNames: ['table'],
    registers,
    collect() {
      this.reset();
      for (const { name, revision } of figures().tables.slice(0, TOLD_TABLES_MAX)) {
        this.set({ table: name }, revision);
      }
    },
  });
  const gauge = (name: string, help: string, valueOf: (now: LogShippingFigures) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(valueOf(figures()));
      },
    });
  gauge(
    'flotilla_backup_log_lag_seconds',
    'Age of the oldest entry of any table that was read and is not in the store.',
    ({ lagMs }) => lagMs / 1_000,
  );
  gauge(
    'flotilla_backup_log_held_bytes',
    'Entries of logs in memory that are not in the store.',
    ({ heldBytes }) => heldBytes,
  );
  gauge('flotilla_backup_log_streams', 'Logs that are followed now.', ({ streams }) => streams);
  gauge(
    'flotilla_backup_log_holder',
    'Whether this app ships the logs (1), or another one does (0).',
    ({ isShipping }) => (isShipping ? 1 : 0),
  );
  const counter = (name: string, help: string, valueOf: (now: LogShippingFigures) => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(valueOf(figures()));
      },
    });
  counter(
    'flotilla_backup_log_bytes_total',
    'Bytes of logs that were stored.',
    ({ storedBytes }) => storedBytes,
  );
  counter(
    'flotilla_backup_log_objects_total',
    'Pieces of logs that were stored.',
    ({ storedObjects }) => storedObjects,
  );
  counter(
    'flotilla_backup_log_errors_total',
    'Failures of nodes or of the store that shipping met, and tried again.',
    ({ errors }) => errors,
  );
  counter(
    'flotilla_backup_log_gaps_total',
    'Logs that were compacted before they were shipped.',
    ({ gaps }) => gaps,
  );
}
