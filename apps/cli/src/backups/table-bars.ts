/**
 * How far each table is, on a terminal: one line that says it of all of them.
 *
 * In: progress of tables, in any order. Out: a line on standard error, nothing where that is no terminal.
 */
import type { backupsV1 as v1 } from '@flotilla/proto';
import { SingleBar } from 'cli-progress';

interface Seen {
  readonly rows: number;
  readonly bytes: number;
}

export class TableBars {
  private readonly seen = new Map<string, Seen>();
  private done = 0;
  private bar: SingleBar | undefined;

  constructor(
    private readonly verb: string,
    private readonly isTerminal = process.stderr.isTTY,
  ) {}

  /** How many tables there are is known. */
  begin(tables: number): void {
    if (!this.isTerminal || this.bar) return;
    this.bar = new SingleBar({
      format: `${this.verb} [{bar}] {value}/{total} tables | {rows} rows, {megabytes} MB | {table}`,
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true,
    });
    this.bar.start(tables, 0, { rows: 0, megabytes: '0.0', table: '' });
  }

  update({ table, rows, bytes, done, gone }: v1.TableProgress): void {
    this.seen.set(table, { rows: Number(rows), bytes: Number(bytes) });
    if (done || gone) this.done++;
    const all = [...this.seen.values()];
    const total = (of: (seen: Seen) => number) => all.reduce((sum, each) => sum + of(each), 0);
    const megabytes = (total((each) => each.bytes) / 1e6).toFixed(1);
    this.bar?.update(this.done, { rows: total((each) => each.rows), megabytes, table });
  }

  /** Makes room for lines of text. */
  stop(): void {
    this.bar?.stop();
  }
}
