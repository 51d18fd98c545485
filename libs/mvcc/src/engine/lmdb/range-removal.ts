/**
 * Range deletes that do not hold the loop: LMDB removes row by row.
 *
 *   deleteRange -- few rows --> removed at once
 *        |
 *        `------- many ------> noted, first rows removed -- a slice a turn --> note removed
 *
 * In: ranges to delete. Out: the same as if all were removed at once. The note is a row in an area of
 * its own and is written with the first removals, so a crash finds the range deleted or not, and an
 * opening goes on where it was. Whoever reads or writes within a noted range has the rest removed
 * first: that is rare, for what is deleted in bulk is a table that is gone or a slot out of use.
 */
import { type EngineRange } from '../engine.js';
import { KEY_BYTES_MAX, type LmdbStore } from './binding.js';
import { NoteKey } from './codec.js';
import { rangeOptions } from './lmdb-iterator.js';

/** Rows removed in one go: one to three milliseconds of the loop. */
const SLICE_ROWS = 1_000;
/** Noted ranges at a time; for one more, the oldest is finished first. */
const NOTES_MAX = 256;

const NOTES = { start: new NoteKey(0), end: new NoteKey(KEY_BYTES_MAX).fill(0xff) };

/** Runs changes as one write of the engine; they say how many rows they changed. */
type Change = (changes: () => { rows: number; bytes: number }) => void;

export class RangeRemoval {
  private noted: EngineRange[] = [];
  private turn: NodeJS.Immediate | undefined;
  private isStopped = false;

  constructor(
    private readonly store: LmdbStore,
    private readonly change: Change,
  ) {
    const options = { reverse: false, exclusiveStart: false, inclusiveEnd: false, values: true };
    for (const row of store.getRange({ ...NOTES, ...options })) {
      if (!Buffer.isBuffer(row)) this.noted.push({ gte: row.key, lt: row.value });
    }
    this.goOn();
  }

  remove(range: EngineRange): void {
    this.finish(range);
    if (this.noted.length >= NOTES_MAX) this.finish(this.noted[0]);
    // A note has a bound as its key; nothing longer is a key of the store.
    const canNote = range.gte.length <= KEY_BYTES_MAX;
    this.change(() => {
      let rows = this.removeSlice(range);
      if (rows < SLICE_ROWS) return { rows, bytes: 0 };
      if (canNote) {
        this.store.putSync(NoteKey.from(range.gte), range.lt);
        this.noted.push({ gte: Buffer.from(range.gte), lt: Buffer.from(range.lt) });
        return { rows: rows + 1, bytes: range.lt.length };
      }
      for (let more = SLICE_ROWS; more === SLICE_ROWS; rows += more) more = this.removeSlice(range);
      return { rows, bytes: 0 };
    });
    this.goOn();
  }

  /** Before a key is read or written. */
  finishAt(key: Uint8Array): void {
    if (this.noted.length === 0) return;
    const isIn = ({ gte, lt }: EngineRange): boolean =>
      Buffer.compare(gte, key) <= 0 && Buffer.compare(key, lt) < 0;
    for (const range of this.noted.filter(isIn)) this.finishNoted(range);
  }

  /** Before a range is read or deleted. */
  finish(other: EngineRange | undefined): void {
    if (this.noted.length === 0 || other === undefined) return;
    const overlaps = ({ gte, lt }: EngineRange): boolean =>
      Buffer.compare(gte, other.lt) < 0 && Buffer.compare(other.gte, lt) < 0;
    for (const range of this.noted.filter(overlaps)) this.finishNoted(range);
  }

  /** What is left to remove is noted, and goes on at the next opening. */
  stop(): void {
    this.isStopped = true;
    clearImmediate(this.turn);
  }

  private finishNoted(range: EngineRange): void {
    while (this.noted.includes(range)) this.removeMore(range);
  }

  private goOn(): void {
    if (this.isStopped || this.turn !== undefined || this.noted.length === 0) return;
    this.turn = setImmediate(() => {
      this.turn = undefined;
      const [range] = this.noted;
      if (range === undefined) return;
      try {
        this.removeMore(range);
      } catch {
        // The engine has failed and says so in every call from now on.
        return this.stop();
      }
      this.goOn();
    });
  }

  private removeMore(range: EngineRange): void {
    this.change(() => {
      const rows = this.removeSlice(range);
      if (rows === SLICE_ROWS) return { rows, bytes: 0 };
      this.store.removeSync(NoteKey.from(range.gte));
      this.noted = this.noted.filter((other) => other !== range);
      return { rows: rows + 1, bytes: 0 };
    });
  }

  private removeSlice(range: EngineRange): number {
    const keys: Buffer[] = [];
    for (const key of this.store.getRange(rangeOptions({ ...range, content: 'keys' }))) {
      if (Buffer.isBuffer(key)) keys.push(key);
      if (keys.length === SLICE_ROWS) break;
    }
    for (const key of keys) this.store.removeSync(key);
    return keys.length;
  }
}
