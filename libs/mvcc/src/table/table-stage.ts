/**
 * Gathers a whole state of a table in the slot that is not in use, while the table serves.
 *
 *   open (clears the slot) --> write ... write --> finish --> (engine synced) --> installStaged
 *                                    \--> discard
 *
 * In: the chunks of a snapshot, in order. Every one is checked before anything of it is written. The
 * slot in use is never touched, and a state counts as staged only once it is whole.
 */
import { type Engine } from '../engine/engine.js';
import { Keyspace, otherSlot } from './keyspace.js';
import { activeKeyspace, clearInactive } from './slots.js';
import { damagedChunk, decodeChunk, type ChunkTotals } from './snapshot-chunk.js';
import { TableError } from './table-error.js';

export interface StageOptions {
  readonly engine: Engine;
  readonly tableId: number;
}

/** Removes what an earlier attempt left. */
export function openStage(options: StageOptions): TableStage {
  return new TableStage(options);
}

export class TableStage {
  private readonly engine: Engine;
  private readonly tableId: number;
  private readonly active: Keyspace;
  private readonly target: Keyspace;
  private sequence = 0;
  private checksum = 0;
  private rows = 0;
  private bytes = 0;
  private isWhole = false;
  private isOver = false;

  constructor({ engine, tableId }: StageOptions) {
    this.engine = engine;
    this.tableId = tableId;
    this.active = activeKeyspace(engine, tableId);
    this.target = new Keyspace(tableId, otherSlot(this.active.slot));
    clearInactive(engine, this.active, tableId);
  }

  /** Throws TableError TABLE_SNAPSHOT_DAMAGED; the stage can only be discarded then. */
  write(chunk: Buffer): void {
    this.requireOpen();
    if (this.isWhole) throw damagedChunk('the last one came before it');
    const { sequence, rows, totals, checksum } = decodeChunk(chunk, this.checksum);
    if (sequence !== this.sequence) {
      throw damagedChunk(`it is number ${sequence}, where ${this.sequence} belongs`);
    }
    const batch = this.engine.batch();
    try {
      for (let at = 0; at + 1 < rows.length; at += 2) this.put(batch, rows[at], rows[at + 1]);
      if (totals) this.checkTotals(totals);
      batch.write();
    } finally {
      batch.close();
    }
    this.sequence++;
    this.checksum = checksum;
    this.isWhole = totals !== undefined;
  }

  /** Says that the state is whole; `note` stays with it. The caller syncs the engine afterwards. */
  finish(note: Uint8Array): void {
    this.requireOpen();
    if (!this.isWhole) throw damagedChunk('there is no last one');
    this.isOver = true;
    this.engine.batch().put(this.target.stagedKey, note).write();
  }

  /** Leaves nothing behind. Idempotent, also after `finish`, unless the state was installed. */
  discard(): void {
    this.isOver = true;
    const active = activeKeyspace(this.engine, this.tableId);
    if (active.slot === this.active.slot) clearInactive(this.engine, active, this.tableId);
  }

  private put(
    batch: ReturnType<Engine['batch']>,
    key: Buffer | undefined,
    value: Buffer | undefined,
  ): void {
    if (!key || !value) throw damagedChunk('a key has no value');
    batch.put(this.target.engineKey(key), value);
    this.rows++;
    this.bytes += key.length + value.length;
  }

  private checkTotals(totals: ChunkTotals): void {
    if (totals.rows === this.rows && totals.bytes === this.bytes) return;
    throw damagedChunk(`${this.rows} rows came where ${totals.rows} were sent`);
  }

  private requireOpen(): void {
    if (this.isOver) throw new TableError('TABLE_CLOSED', 'the stage was finished or discarded');
  }
}
