/**
 * The work of each round, from the first asking to the last check of its outcome.
 *
 * In: a plan. Out: a line that tells what happened; problems go to the judge's listener. Writers go on meanwhile,
 * also into a table that is being replaced.
 */
import { backupsV1 as v1 } from '@flotilla/proto';
import { type FlotillaClient } from '@flotilla/client';
import { type Asked, type Asking } from './asking.js';
import { type BackupCalls, CallFailure, type Made } from './backup-calls.js';
import { type BackupJudge } from './backup-judge.js';
import { KEEP_LAST, idOf, type BackupSite } from './backup-site.js';
import { type KnownWriters } from './known-writers.js';
import { type RoundPlan } from './schedule.js';

interface Chosen {
  readonly id: string;
  readonly table: v1.BackupTable;
  readonly writers: KnownWriters;
}

export class BackupWorks {
  private copies = 0;

  constructor(
    private readonly site: BackupSite,
    private readonly calls: BackupCalls,
    private readonly asking: Asking,
    private readonly judge: BackupJudge,
    private readonly client: FlotillaClient,
    private readonly writers: readonly KnownWriters[],
    private readonly onProblem: (what: string) => void,
  ) {}

  async run(plan: RoundPlan): Promise<Asked<unknown>> {
    switch (plan.work) {
      case 'full':
        return this.create(plan, v1.BackupKind.FULL);
      case 'incremental':
        return this.create(plan, v1.BackupKind.INCREMENTAL);
      case 'prune':
        return this.prune(plan);
      case 'restore':
        return this.restore(plan);
      case 'restore-in-place':
        return this.replace(plan);
    }
  }

  private async create(plan: RoundPlan, kind: v1.BackupKind): Promise<Asked<Made>> {
    let before: readonly number[] = [];
    const asked = await this.asking.until(plan, true, (onProgress) => {
      before = this.writers.map(({ lastRevision }) => lastRevision);
      return this.calls.create(kind, onProgress);
    });
    const { outcome } = asked;
    if (!outcome) return asked;
    const { backup, resumed } = outcome;
    for (const [nth, { table }] of this.writers.entries()) {
      const revision = Number(backup.tables.find(({ name }) => name === table)?.revision ?? -1);
      const due = resumed ? 0 : (before[nth] ?? 0);
      if (revision >= due) continue;
      this.onProblem(`backup ${backup.id} has table ${table} at ${revision}, before ${due}`);
    }
    await this.judge.made(backup);
    for (const table of backup.tables) {
      const as = this.nextCopy();
      await this.calls.restore({ id: backup.id, tables: [table.name], as });
      await this.compareAndDelete(backup.id, table, as);
    }
    return wentOn(asked, resumed);
  }

  private async prune(plan: RoundPlan): Promise<Asked<unknown>> {
    const newest = (await this.calls.list()).backups.slice(-KEEP_LAST).map(({ id }) => id);
    const asked = await this.asking.until(plan, false, () => this.calls.prune());
    const deleted = asked.outcome?.decisions.filter((each) => each.deleted) ?? [];
    const gone = new Set(deleted.map(({ id }) => id));
    for (const id of newest) if (gone.has(id)) this.onProblem(`a prune has deleted ${id}`);
    const left = this.site.objectNames().filter((name) => gone.has(idOf(name)));
    if (left.length > 0) this.onProblem(`a prune has left ${left[0]}`);
    return { ...asked, text: `${asked.text}, ${gone.size} deleted` };
  }

  private async restore(plan: RoundPlan): Promise<Asked<unknown>> {
    const { id, table } = await this.choose(plan);
    const as = this.nextCopy();
    const asked = await this.asking.until(plan, false, async (onProgress) => {
      // A restore that was interrupted may have been complete.
      if (await this.isThere(as)) return undefined;
      return this.calls.restore({ id, tables: [table.name], as }, onProgress);
    });
    await this.compareAndDelete(id, table, as);
    return wentOn(asked, asked.outcome?.[0]?.resumed);
  }

  private async replace(plan: RoundPlan): Promise<Asked<unknown>> {
    const { id, table, writers } = await this.choose(plan);
    const base = this.judge.known.get(Number(table.tableId));
    if (!base) throw new Error(`nobody knows table ${table.tableId}`);
    writers.beginReplacing();
    const asked = await this.asking.until(plan, false, async (onProgress) => {
      const wish = { id, tables: [table.name], inPlace: true };
      const [done] = await this.calls.restore(wish, onProgress);
      if (!done) throw new Error('the app has not told what it has restored');
      return done;
    });
    const known = base.at(Number(table.revision));
    writers.endReplacing(known);
    if (asked.outcome) this.judge.known.set(Number(asked.outcome.tableId), known);
    return wentOn(asked, asked.outcome?.resumed);
  }

  private async choose({ choice }: RoundPlan): Promise<Chosen> {
    const { backups } = await this.calls.list();
    const id = backups[choice % backups.length]?.id ?? '';
    const { backup } = await this.calls.show(id);
    const writers = this.writers[choice % this.writers.length];
    const table = backup?.tables.find(({ name }) => name === writers?.table);
    if (!writers || !table) throw new Error(`backup ${id} has not all tables`);
    return { id, table, writers };
  }

  private async compareAndDelete(id: string, table: v1.BackupTable, as: string): Promise<void> {
    await this.judge.restored(id, table, as);
    await this.judge.noShadows();
    await this.client.deleteTable(as);
  }

  private async isThere(name: string): Promise<boolean> {
    try {
      return (await this.client.listTables()).some((table) => table.name === name);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new CallFailure('UNAVAILABLE', message, { cause: error });
    }
  }

  private nextCopy(): string {
    return `copy-${++this.copies}`;
  }
}

function wentOn<T>(asked: Asked<T>, resumed = false): Asked<T> {
  return resumed ? { ...asked, text: `${asked.text}, went on` } : asked;
}
