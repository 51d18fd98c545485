/**
 * What must hold whatever was killed.
 *
 * In: backups as the app tells them, tables as the nodes tell them, what is known of the writes. Out: problems as
 * text. It changes nothing but the age of what died, so that it may be cleaned up.
 */
import { type backupsV1 as v1 } from '@flotilla/proto';
import { waitUntil } from '../../harness/cluster.js';
import { tableHash } from '../../harness/table-hash.js';
import { tableRows } from '../../harness/table-rows.js';
import { type BackupCalls, listShadows } from './backup-calls.js';
import { idOf, type BackupSite } from './backup-site.js';
import { type KnownTable, type SeenRow } from './known-table.js';

/** What else lies in a store is not made by a run: who has the schedule, whether the store can do something. */
const BACKUPS = 'backups/';

export interface TableAt {
  readonly rows: readonly SeenRow[];
  readonly revision: number;
}

export class BackupJudge {
  /** Rows that were compared one by one, and tables by the hash of all that a row has. */
  rows = 0;
  hashes = 0;
  verified = 0;
  /** What is known of each table, by id: a table that was replaced is another one. */
  readonly known = new Map<number, KnownTable>();
  /** Of tables at the revision of a backup, where they could still be read when it was made. */
  private readonly hashOf = new Map<string, string>();

  constructor(
    private readonly site: BackupSite,
    private readonly calls: BackupCalls,
    private readonly onProblem: (what: string) => void,
  ) {}

  /** Only what is good is listed as good. */
  async listed(): Promise<v1.Backup[]> {
    const { backups, unreadable } = await this.calls.list();
    for (const { id, reason } of unreadable)
      this.onProblem(`backup ${id} is unreadable: ${reason}`);
    for (const { id } of backups) {
      const { problemCount, problems } = await this.calls.verify(id);
      this.verified++;
      if (problemCount === 0n) continue;
      this.onProblem(`backup ${id} is listed as good: ${problems[0]?.message ?? 'and is not'}`);
    }
    return backups;
  }

  /** Remembers the tables of a new backup as the cluster has them at its revisions. */
  async made({ id, tables }: v1.Backup): Promise<void> {
    for (const { name, revision, tableId } of tables) {
      if (!this.known.has(Number(tableId))) {
        this.onProblem(`backup ${id} has table ${name} as ${tableId}, which nobody knows`);
      }
      const { hash } = await tableHash(this.address, name, Number(revision));
      this.hashOf.set(`${id}/${name}`, hash);
    }
  }

  /** A table that was restored under another name, and to which nobody writes. */
  async restored(id: string, table: v1.BackupTable, as: string): Promise<void> {
    const revision = Number(table.revision);
    const { rows } = await this.read(as);
    const known = this.known.get(Number(table.tableId));
    const problems = known?.problems(rows, revision) ?? ['nobody knows what it should hold'];
    for (const what of problems) this.onProblem(`table ${table.name} of backup ${id}: ${what}`);
    this.rows += rows.length;
    const due = this.hashOf.get(`${id}/${table.name}`);
    if (due === undefined) return;
    this.hashes++;
    const { hash } = await tableHash(this.address, as);
    if (hash !== due) this.onProblem(`table ${table.name} of backup ${id} has another hash`);
  }

  /** A table as it is, while nobody writes; doubts end with it. */
  async live(name: string, known: KnownTable): Promise<void> {
    const { rows, revision } = await this.read(name);
    for (const what of known.problems(rows, revision)) this.onProblem(`table ${name}: ${what}`);
    known.settle(rows, revision);
    this.rows += rows.length;
  }

  /** Once it is old and a prune was made, nothing is left of what died. */
  async cleaned(): Promise<number> {
    const { unfinished } = await this.calls.list();
    this.site.setBack(new Set(unfinished.map(({ id }) => id)));
    await this.calls.prune();
    const after = await this.calls.list();
    for (const { id } of after.unfinished) this.onProblem(`run ${id} is left after a prune`);
    const good = new Set(after.backups.map(({ id }) => id));
    const isLeft = (name: string) => name.startsWith(BACKUPS) && !good.has(idOf(name));
    const left = this.site.objectNames().filter(isLeft);
    if (left.length > 0) this.onProblem(`${left.length} objects are left, such as ${left[0]}`);
    const parts = this.site.leftovers();
    if (parts > 0) this.onProblem(`${parts} parts of objects are left`);
    await this.noShadows();
    return unfinished.length;
  }

  async noShadows(): Promise<void> {
    for (const { table, purpose } of await listShadows(this.address)) {
      this.onProblem(`a shadow of table ${table} is left: ${purpose}`);
    }
  }

  private get address(): string {
    return this.site.cluster.endpoints[0] ?? '';
  }

  /** A node that was killed just now may have to find a leader first. */
  private async read(table: string): Promise<TableAt> {
    let found: TableAt | undefined;
    await waitUntil(`table ${table} can be read`, async () => {
      const rows: SeenRow[] = [];
      const reading = tableRows(this.address, table);
      for (;;) {
        const next = await reading.next();
        if (next.done === true) {
          found = { rows, revision: next.value };
          return true;
        }
        rows.push(next.value);
      }
    });
    if (!found) throw new Error(`table ${table} was not read`);
    return found;
  }
}
