/**
 * The write transaction that stays open over several batches.
 *
 * In: rows of batches, each batch as a whole. Out: LMDB commits of many batches at once, because a
 * commit copies a path of pages for each row it touches and those paths are mostly the same. Reads
 * through the store see an open transaction, so what is written is visible at once; a view of a
 * moment sees what is committed, so one that opens commits first. A crash loses the open one.
 */
import { EngineError } from '../engine-error.js';
import { toEngineError } from './native-error.js';
import { beginWrite, type LmdbStore, PAGE_BYTES } from './binding.js';

/** Changes of one commit, which writes up to a page for each: some milliseconds of the loop. */
const ROWS_PER_COMMIT = 1_000;
/** Bytes of values of one commit. */
const BYTES_PER_COMMIT = 4 * 1024 * 1024;
/** Pages a commit writes besides those of its rows: the paths to them and the list of free pages. */
const PAGES_OF_COMMIT = 8;

export class WriteWindow {
  private end: ((error?: Error) => void) | undefined;
  private rows = 0;
  private bytes = 0;
  private pages = 0;
  private failure: EngineError | undefined;

  constructor(private readonly store: LmdbStore) {}

  /** Pages that commits have taken since `takePages`, estimated from above. */
  get pagesWritten(): number {
    return this.pages;
  }

  takePages(): void {
    this.pages = 0;
  }

  get isOpen(): boolean {
    return this.end !== undefined;
  }

  /** Does one batch of changes, whole. A failure is final: the node must start again from its log. */
  write(changes: () => { rows: number; bytes: number }): void {
    this.requireHealthy();
    try {
      this.end ??= beginWrite(this.store);
      const { rows, bytes } = changes();
      this.rows += rows;
      this.bytes += bytes;
    } catch (cause) {
      throw this.fail(cause);
    }
    if (this.rows >= ROWS_PER_COMMIT || this.bytes >= BYTES_PER_COMMIT) this.commit();
  }

  commit(): void {
    this.requireHealthy();
    const { end } = this;
    if (end === undefined) return;
    this.end = undefined;
    try {
      end();
    } catch (cause) {
      throw this.fail(cause);
    }
    this.pages += this.rows + Math.ceil(this.bytes / PAGE_BYTES) + PAGES_OF_COMMIT;
    this.rows = 0;
    this.bytes = 0;
  }

  /** Ends the open transaction without a trace; the first failure stays the one that is told. */
  fail(cause: unknown): EngineError {
    this.failure ??= toEngineError(cause, 'write failed');
    const { end } = this;
    this.end = undefined;
    try {
      end?.(this.failure);
    } catch (aborted) {
      // Aborting throws the error it was given; another one says what became of the transaction.
      if (aborted !== this.failure)
        return new EngineError(this.failure.code, this.failure.message, { cause: aborted });
    }
    return this.failure;
  }

  requireHealthy(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}
