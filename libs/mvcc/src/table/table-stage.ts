/**
 * Gathers a whole state of a table in the slot that is not in use, while the table serves.
 *
 *   open (clears the slot) --> write ... write --> finish --> (engine synced) --> installStaged
 *                                    \--> discard
 *
 * In: the chunks of a snapshot, in order. Every one is checked before anything of it is written. The
 * slot in use is never touched, and a state counts as staged only once it is whole. How far it is
 * stands in a row beside the slot, changed in the same batch as the rows: a stage whose slot was
 * cleared, taken by another stage or made the one in use sees that, and must never write again.
 */
import { type Engine } from '../engine/engine.js';
import { Keyspace, otherSlot } from './keyspace.js';
import { activeKeyspace, clearInactive } from './slots.js';
import { damagedChunk, decodeChunk, type ChunkTotals } from './snapshot-chunk.js';
import { SnapshotRows } from './snapshot-rows.js';
import { TableError } from './table-error.js';
import { type TableState } from './table-types.js';
import { writeUint64 } from './varint.js';

export interface StageOptions {
  readonly engine: Engine;
  readonly tableId: number;
}

/** Sequence, checksum, rows and bytes. */
const PROGRESS_BYTES = 4 + 4 + 8 + 8;

/** Removes what an earlier attempt left. */
export function openStage(options: StageOptions): TableStage {
  return new TableStage(options);
}

export class TableStage {
  private readonly engine: Engine;
  private readonly tableId: number;
  private readonly active: Keyspace;
  private readonly target: Keyspace;
  private readonly contents = new SnapshotRows();
  private sequence = 0;
  private checksum = 0;
  private rows = 0;
  private bytes = 0;
  private whole: TableState | undefined;
  /** What the row beside the slot says, as long as the slot is this stage's. */
  private mark: Buffer;
  private isStaged = false;
  private isOver = false;

  constructor({ engine, tableId }: StageOptions) {
    this.engine = engine;
    this.tableId = tableId;
    this.active = activeKeyspace(engine, tableId);
    this.target = new Keyspace(tableId, otherSlot(this.active.slot));
    clearInactive(engine, this.active, tableId);
    this.mark = this.progress();
    engine.batch().put(this.target.stagingKey, this.mark).write();
  }

  /** What the state is, once it is whole. */
  get state(): Readonly<TableState> | undefined {
    return this.whole;
  }

  /**
   * Throws TableError TABLE_SNAPSHOT_DAMAGED, or TABLE_CLOSED if the slot is not this stage's any
   * more; the stage can only be discarded then.
   */
  write(chunk: Buffer): void {
    this.requireOpen();
    try {
      this.writeChecked(chunk);
    } catch (error) {
      this.isOver = true;
      throw error;
    }
  }

  /** Says that the state is whole; `note` stays with it. The caller syncs the engine afterwards. */
  finish(note: Uint8Array): void {
    this.requireOpen();
    if (!this.whole) throw damagedChunk('there is no last one');
    this.isOver = true;
    const { stagedKey, stagingKey } = this.target;
    this.engine.batch().put(stagedKey, note).del(stagingKey).write();
    this.mark = Buffer.from(note);
    this.isStaged = true;
  }

  /**
   * Leaves nothing behind. Idempotent, also after `finish`; does nothing once the state was installed
   * or the slot became another stage's.
   */
  discard(): void {
    this.isOver = true;
    if (this.holdsSlot()) clearInactive(this.engine, this.active, this.tableId);
  }

  private writeChecked(chunk: Buffer): void {
    if (this.whole) throw damagedChunk('the last one came before it');
    const { sequence, rows, totals, checksum } = decodeChunk(chunk, this.checksum);
    if (sequence !== this.sequence) {
      throw damagedChunk(`it is number ${sequence}, where ${this.sequence} belongs`);
    }
    const batch = this.engine.batch();
    try {
      for (let at = 0; at + 1 < rows.length; at += 2) this.put(batch, rows[at], rows[at + 1]);
      const whole = totals && this.checkWhole(totals);
      this.sequence++;
      this.checksum = checksum;
      const mark = this.progress();
      batch.put(this.target.stagingKey, mark).write();
      this.mark = mark;
      this.whole = whole;
    } finally {
      batch.close();
    }
  }

  private put(
    batch: ReturnType<Engine['batch']>,
    key: Buffer | undefined,
    value: Buffer | undefined,
  ): void {
    if (!key || !value) throw damagedChunk('a key has no value');
    this.contents.add(key, value);
    batch.put(this.target.engineKey(key), value);
    this.rows++;
    this.bytes += key.length + value.length;
  }

  private checkWhole(totals: ChunkTotals): TableState {
    if (totals.rows === this.rows && totals.bytes === this.bytes) return this.contents.end();
    throw damagedChunk(`${this.rows} rows came where ${totals.rows} were sent`);
  }

  private requireOpen(): void {
    if (this.isOver) throw closed('the stage was finished, discarded or given up');
    if (!this.holdsSlot()) throw closed('the slot was cleared, or is used for another state');
  }

  /**
   * Whether the slot still holds what this stage wrote and nothing else. Two stages that wrote the
   * same chunks cannot be told apart here, and need not be.
   */
  private holdsSlot(): boolean {
    if (activeKeyspace(this.engine, this.tableId).slot !== this.active.slot) return false;
    const { stagedKey, stagingKey } = this.target;
    const found = this.engine.get(this.isStaged ? stagedKey : stagingKey);
    return found !== undefined && found.equals(this.mark);
  }

  private progress(): Buffer {
    const target = Buffer.allocUnsafe(PROGRESS_BYTES);
    const at = target.writeUInt32BE(this.checksum, target.writeUInt32BE(this.sequence, 0));
    writeUint64(target, writeUint64(target, at, this.rows), this.bytes);
    return target;
  }
}

function closed(what: string): TableError {
  return new TableError('TABLE_CLOSED', what);
}
