/**
 * Where each entry of one group lies on disk, without an object per entry.
 *
 * In: positions in the order of the log; cuts at either end. Out: position, length and term of any
 * entry. Offset and payload length take eight bytes an entry, in chunks; term and segment, which
 * hardly ever change, are kept as runs. Cuts report how many entries of which segment died, so
 * that the store knows when a segment holds nothing of use.
 *
 *     chunks   [ . . 7 8 | 9 10 11 12 | 13 14 _ _ ]     headSkip = 2
 *     runs     from 7: term 3, segment 1    from 12: term 4, segment 1    from 14: term 4, segment 2
 */
import type { LogIndex, Term } from '../core/types.js';

const CHUNK_ENTRIES = 1024;
const FIRST_CHUNK_ENTRIES = 4;
/** An empty table keeps a chunk up to this size for what comes next. */
const KEPT_CHUNK_ENTRIES = 64;
const WORDS_PER_ENTRY = 2;

/** Who is told about entries that came to live in a segment or died in it. */
export interface SegmentUse {
  /** `count` is negative when entries died. */
  addLive(segment: number, count: number): void;
  /** Entries of this segment were overwritten by a later append. */
  markTruncated(segment: number): void;
}

export class EntryTable {
  private chunks: Uint32Array[] = [];
  /** Slots at the start of the first chunk whose entries are gone. */
  private headSkip = 0;
  private countTotal = 0;
  private firstIndexValue: LogIndex = 1;
  private runFirst: LogIndex[] = [];
  private runTerm: Term[] = [];
  private runSegment: number[] = [];

  constructor(private readonly use: SegmentUse) {}

  get count(): number {
    return this.countTotal;
  }

  /** Index of the first entry, or of the one that may be appended to an empty table. */
  get firstIndex(): LogIndex {
    return this.firstIndexValue;
  }

  get lastIndex(): LogIndex {
    return this.firstIndexValue + this.countTotal - 1;
  }

  /** Empties the table; the next entry has `firstIndex`. */
  reset(firstIndex: LogIndex): void {
    this.releaseRuns(this.firstIndexValue, this.lastIndex, false);
    this.clearSlots();
    this.firstIndexValue = firstIndex;
  }

  append(term: Term, segment: number, offset: number, payloadBytes: number): void {
    const index = this.firstIndexValue + this.countTotal;
    const slot = this.slotForAppend();
    slot.chunk[slot.word] = offset;
    slot.chunk[slot.word + 1] = payloadBytes;
    const last = this.runFirst.length - 1;
    if (last < 0 || this.runTerm[last] !== term || this.runSegment[last] !== segment) {
      this.runFirst.push(index);
      this.runTerm.push(term);
      this.runSegment.push(segment);
    }
    this.countTotal++;
    this.use.addLive(segment, 1);
  }

  /** Forgets `index` and what follows it. */
  truncateFrom(index: LogIndex): void {
    if (index > this.lastIndex) return;
    if (index <= this.firstIndexValue) {
      this.releaseRuns(this.firstIndexValue, this.lastIndex, true);
      this.clearSlots();
      return;
    }
    this.releaseRuns(index, this.lastIndex, true);
    this.countTotal = index - this.firstIndexValue;
    const usedChunks = Math.ceil((this.headSkip + this.countTotal) / CHUNK_ENTRIES);
    this.chunks.length = Math.min(this.chunks.length, usedChunks);
    let runs = this.runFirst.length;
    while (runs > 0 && (this.runFirst[runs - 1] ?? 0) >= index) runs--;
    this.runFirst.length = runs;
    this.runTerm.length = runs;
    this.runSegment.length = runs;
  }

  /** Forgets `index` and what precedes it. */
  dropThrough(index: LogIndex): void {
    if (index < this.firstIndexValue) return;
    if (index >= this.lastIndex) {
      this.reset(index + 1);
      return;
    }
    this.releaseRuns(this.firstIndexValue, index, false);
    const dropped = index + 1 - this.firstIndexValue;
    this.firstIndexValue = index + 1;
    this.countTotal -= dropped;
    this.headSkip += dropped;
    const wholeChunks = Math.floor(this.headSkip / CHUNK_ENTRIES);
    if (wholeChunks > 0) {
      this.chunks.splice(0, wholeChunks);
      this.headSkip -= wholeChunks * CHUNK_ENTRIES;
    }
    const run = this.runAt(this.firstIndexValue);
    if (run > 0) {
      this.runFirst.splice(0, run);
      this.runTerm.splice(0, run);
      this.runSegment.splice(0, run);
    }
    this.runFirst[0] = this.firstIndexValue;
  }

  offsetOf(index: LogIndex): number {
    return this.word(index, 0);
  }

  payloadBytesOf(index: LogIndex): number {
    return this.word(index, 1);
  }

  termOf(index: LogIndex): Term {
    return this.runTerm[this.runAt(index)] ?? 0;
  }

  segmentOf(index: LogIndex): number {
    return this.runSegment[this.runAt(index)] ?? 0;
  }

  private word(index: LogIndex, word: number): number {
    if (index < this.firstIndexValue || index > this.lastIndex) {
      throw new RangeError(`entry ${index} is not in the table`);
    }
    const slot = this.headSkip + (index - this.firstIndexValue);
    const chunk = this.chunks[Math.floor(slot / CHUNK_ENTRIES)];
    return chunk?.[(slot % CHUNK_ENTRIES) * WORDS_PER_ENTRY + word] ?? 0;
  }

  /** The run that holds `index`: the last one in most calls, else by binary search. */
  private runAt(index: LogIndex): number {
    let high = this.runFirst.length - 1;
    if (high < 0 || (this.runFirst[high] ?? 0) <= index) return high;
    let low = 0;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.runFirst[middle] ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private releaseRuns(from: LogIndex, through: LogIndex, truncated: boolean): void {
    if (from > through || this.countTotal === 0) return;
    for (let run = this.runAt(from); run < this.runFirst.length; run++) {
      const start = Math.max(from, this.runFirst[run] ?? 0);
      const next = this.runFirst[run + 1] ?? this.lastIndex + 1;
      const end = Math.min(through + 1, next);
      if (start >= end) return;
      const segment = this.runSegment[run] ?? 0;
      this.use.addLive(segment, start - end);
      if (truncated) this.use.markTruncated(segment);
    }
  }

  private clearSlots(): void {
    const kept = this.chunks[0];
    const keep = kept !== undefined && kept.length <= KEPT_CHUNK_ENTRIES * WORDS_PER_ENTRY;
    this.chunks = keep ? [kept] : [];
    this.headSkip = 0;
    this.countTotal = 0;
    this.runFirst.length = 0;
    this.runTerm.length = 0;
    this.runSegment.length = 0;
  }

  private slotForAppend(): { chunk: Uint32Array; word: number } {
    let slot = this.headSkip + this.countTotal;
    const only = this.chunks[0];
    if (this.chunks.length <= 1) {
      const capacity = (only?.length ?? 0) / WORDS_PER_ENTRY;
      if (slot >= capacity && capacity < CHUNK_ENTRIES) {
        this.chunks = [this.widenFirst(only, capacity)];
        slot = this.headSkip + this.countTotal;
      }
    }
    const at = Math.floor(slot / CHUNK_ENTRIES);
    let chunk = this.chunks[at];
    if (chunk === undefined) {
      chunk = new Uint32Array(CHUNK_ENTRIES * WORDS_PER_ENTRY);
      this.chunks.push(chunk);
    }
    return { chunk, word: (slot % CHUNK_ENTRIES) * WORDS_PER_ENTRY };
  }

  /** Makes room in a first chunk that is still small: by closing the gap in front, or by growing. */
  private widenFirst(only: Uint32Array | undefined, capacity: number): Uint32Array {
    const used = only?.subarray(
      this.headSkip * WORDS_PER_ENTRY,
      (this.headSkip + this.countTotal) * WORDS_PER_ENTRY,
    );
    const roomEnough = capacity > 0 && this.countTotal * 2 <= capacity;
    const grown = Math.min(CHUNK_ENTRIES, Math.max(FIRST_CHUNK_ENTRIES, capacity * 2));
    const entries = roomEnough ? capacity : grown;
    const widened = new Uint32Array(entries * WORDS_PER_ENTRY);
    if (used !== undefined) widened.set(used);
    this.headSkip = 0;
    return widened;
  }
}
