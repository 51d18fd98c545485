/**
 * Point reads that memory has no answer for: those of one tick are one read of the engine.
 *
 *   miss, miss, miss --(whatever came with them is handled)--> one multi-get a table --> their answers
 *
 * In: tables and queries of single keys. Out: answers, in the tick they were asked for, of the state
 * at its end. A key read with others costs the engine half of one that is read alone.
 */
import { type RangeQuery } from '@flotilla/mvcc';
import { type RunningTable } from '../tables/table-registry.js';
import { rangeAnswer } from './answers.js';
import { asError } from './errors.js';

/** So many are read at once at most: a few milliseconds of the loop, from disk. */
export const POINT_READS_MAX = 128;

interface Miss {
  readonly query: RangeQuery;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

export class PointReads {
  private readonly waiting = new Map<RunningTable, Miss[]>();
  private isDue = false;

  read(table: RunningTable, query: RangeQuery): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const miss = { query, resolve, reject };
      const misses = this.waiting.get(table);
      if (misses === undefined) this.waiting.set(table, [miss]);
      else if (misses.push(miss) >= POINT_READS_MAX) {
        this.waiting.delete(table);
        answer(table, misses);
      }
      if (this.isDue) return;
      this.isDue = true;
      void Promise.resolve().then(() => this.answerAll());
    });
  }

  private answerAll(): void {
    this.isDue = false;
    const all = [...this.waiting];
    this.waiting.clear();
    for (const [table, misses] of all) answer(table, misses);
  }
}

function answer(table: RunningTable, misses: readonly Miss[]): void {
  try {
    const pages = table.machine.pagesOfKeys(misses.map(({ query }) => query));
    const header = table.header.ofRead();
    for (let at = 0; at < misses.length; at++) {
      const page = pages[at];
      if (page) misses[at]?.resolve(rangeAnswer(header, page));
    }
  } catch (error) {
    // Whoever has its answer already is not told again.
    for (const miss of misses) miss.reject(asError(error));
  }
}
