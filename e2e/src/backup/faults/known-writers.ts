/**
 * Writers of a table whose every write is known, through faults.
 *
 * In: a table, a seed. Out: puts and deletions, each told to a `KnownTable` with its revision, or as a write of
 * which nobody knows. Each key has one writer. While they rest nothing is under way.
 *
 * While a table is being replaced, a write that was acknowledged may have gone to the old one or to the new one:
 * such writes are kept apart, for whoever sees in the end which table it was.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, type FlotillaClient } from '@flotilla/client';
import { type Random } from '../../faults/random.js';
import { type Content, type KnownTable } from './known-table.js';

export const KEYS = 200;
const WRITERS = 2;
const PAUSE_MS = 15;
const DELETED_PART = 0.15;
const FAILED_PAUSE_MS = 100;
const INTERRUPTED: ReadonlySet<string> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED']);

interface LateWrite {
  readonly key: string;
  readonly content: Content;
}

export class KnownWriters {
  acknowledged = 0;
  unknown = 0;
  lastRevision = 0;
  /** What no client would try again. */
  readonly failures: string[] = [];
  private late: LateWrite[] | undefined;
  private isResting = true;
  private running: Promise<unknown> = Promise.resolve();

  constructor(
    readonly table: string,
    public known: KnownTable,
    private readonly client: FlotillaClient,
    private readonly random: Random,
    private readonly nextContent: () => { readonly content: number; readonly value: Buffer },
  ) {}

  /** Every key once. */
  async fill(): Promise<void> {
    for (let nth = 0; nth < KEYS; nth++) await this.put(keyOf(nth));
    const [failure] = this.failures;
    if (failure !== undefined) throw new Error(`table ${this.table} cannot be filled: ${failure}`);
  }

  start(): void {
    if (!this.isResting) return;
    this.isResting = false;
    const writers = Array.from({ length: WRITERS }, (_, nth) => this.write(nth));
    this.running = Promise.all(writers);
  }

  /** Settles once nothing is under way. */
  async rest(): Promise<void> {
    this.isResting = true;
    await this.running;
  }

  /** From here on writes may go to another table. */
  beginReplacing(): void {
    this.late = [];
  }

  /** The table is another one by now, which was made of what is known; what was written since may be in it. */
  endReplacing(known: KnownTable): void {
    for (const { key, content } of this.late ?? []) known.mayHaveWritten(key, content);
    this.late = undefined;
    this.known = known;
  }

  private async write(writer: number): Promise<void> {
    const random = this.random.fork();
    while (!this.isResting) {
      const key = keyOf(random.below(KEYS / WRITERS) * WRITERS + writer);
      if (random.chance(DELETED_PART)) await this.delete(key);
      else await this.put(key);
      await sleep(PAUSE_MS);
    }
  }

  private put(key: string): Promise<void> {
    const { content, value } = this.nextContent();
    const { table } = this;
    return this.change(key, content, () => this.client.put({ table, key, value }));
  }

  private delete(key: string): Promise<void> {
    const { table } = this;
    return this.change(key, undefined, () => this.client.deleteRange({ table, key }));
  }

  private async change(
    key: string,
    content: Content,
    work: () => Promise<{ readonly header: { readonly revision: number } }>,
  ): Promise<void> {
    const { known } = this;
    try {
      const { header } = await work();
      this.acknowledged++;
      this.lastRevision = Math.max(this.lastRevision, header.revision);
      // What began before the table was replaced may have gone to the old one.
      if (known === this.known) known.wrote(key, content, header.revision);
      else this.known.mayHaveWritten(key, content);
      this.late?.push({ key, content });
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      if (!error.notExecuted) this.doubtful(key, content, error);
      await sleep(FAILED_PAUSE_MS);
    }
  }

  private doubtful(key: string, content: Content, { code, message }: ClientError): void {
    this.unknown++;
    this.known.mayHaveWritten(key, content);
    this.late?.push({ key, content });
    if (!INTERRUPTED.has(code)) this.failures.push(`table ${this.table}: ${code}: ${message}`);
  }
}

function keyOf(nth: number): string {
  return `key ${String(nth).padStart(4, '0')}`;
}
