/** Who runs the schedule, as metrics tell it. In: the lease. Out: a gauge that asks it when it is scraped. */
import { Gauge, type Registry } from 'prom-client';
import { type RunnerLease } from './runner-lease.js';

/** The sum over all apps of a cluster is 1, but for seconds while the lease moves. */
export function exposeRunner(registry: Registry, lease: Pick<RunnerLease, 'isRunner'>): void {
  new Gauge({
    name: 'flotilla_backup_schedule_holder',
    help: 'Whether this app runs the schedule of backups (1), or another one does (0).',
    registers: [registry],
    collect() {
      this.set(lease.isRunner ? 1 : 0);
    },
  });
}
