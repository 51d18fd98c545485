/**
 * What was received for each table and what went wrong with it last, counted on the way to the metrics.
 *
 * In: what pullers tell of their work. Out: the same to whoever listens behind it, and one tally a
 * table. Tables that are not pulled any more are forgotten by whoever reads it.
 */
import { type PullerEvents } from './puller.js';

/** What the works of a gateway tell. */
export interface WorkEvents extends PullerEvents {
  snapshotBytes(table: string, bytes: number): void;
  snapshotEnded(table: string, outcome: 'done' | 'failed'): void;
}

export interface Tally {
  receivedBytes: number;
  /** Of the snapshot that is being taken. */
  snapshotBytes: number;
  /** Kind of the last failure; empty if there was none. */
  lastError: string;
}

export const NOTHING_TOLD: Readonly<Tally> = { receivedBytes: 0, snapshotBytes: 0, lastError: '' };

export class PullTally implements WorkEvents {
  private readonly tallies = new Map<string, Tally>();

  constructor(private readonly next: WorkEvents) {}

  of(table: string): Readonly<Tally> {
    return this.tallies.get(table) ?? NOTHING_TOLD;
  }

  /** All others are forgotten. */
  keepOnly(tables: ReadonlySet<string>): void {
    for (const table of this.tallies.keys()) if (!tables.has(table)) this.tallies.delete(table);
  }

  applied(table: string, commands: number, bytes: number): void {
    this.tally(table).receivedBytes += bytes;
    this.next.applied(table, commands, bytes);
  }

  failed(...[table, kind]: Parameters<PullerEvents['failed']>): void {
    this.tally(table).lastError = kind;
    this.next.failed(table, kind);
  }

  snapshotBytes(table: string, bytes: number): void {
    const tally = this.tally(table);
    tally.receivedBytes += bytes;
    tally.snapshotBytes += bytes;
    this.next.snapshotBytes(table, bytes);
  }

  snapshotEnded(table: string, outcome: 'done' | 'failed'): void {
    this.tally(table).snapshotBytes = 0;
    this.next.snapshotEnded(table, outcome);
  }

  private tally(table: string): Tally {
    let tally = this.tallies.get(table);
    if (!tally) this.tallies.set(table, (tally = { ...NOTHING_TOLD }));
    return tally;
  }
}
