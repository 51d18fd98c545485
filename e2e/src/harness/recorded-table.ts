/**
 * A writer that knows what a table is after each of its writes, without ever reading it.
 *
 * In: a table that nobody else writes to, a seed. Out: writes of all kinds, one after the other, and the rows
 * that there have to be after each: told by what was written and by the revisions that were acknowledged.
 */
import { type FlotillaClient } from '@flotilla/client';
import { type mvccV1 } from '@flotilla/proto';
import { type Draw } from './seeded.js';
import { tableRows } from './table-rows.js';

const KEYS = 80;
const VALUE_BYTES_MAX = 600;

export interface RecordedRow {
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
}

export type RecordedRows = ReadonlyMap<string, RecordedRow>;

export interface RecordedState {
  readonly revision: number;
  readonly rows: RecordedRows;
}

type Change = (rows: Map<string, RecordedRow>, revision: number) => void;

export class RecordedTable {
  /** After each write, in their order. */
  readonly states: RecordedState[] = [];
  private rows = new Map<string, RecordedRow>();
  private written = 0;

  constructor(
    private readonly client: FlotillaClient,
    private readonly table: string,
    private readonly draw: Draw,
  ) {}

  get last(): RecordedState {
    const state = this.states.at(-1);
    if (!state) throw new Error('nothing was written');
    return state;
  }

  async write(count: number): Promise<void> {
    for (let nth = 0; nth < count; nth++) {
      const kind = this.draw(10);
      if (kind < 5) await this.put(this.key());
      else if (kind < 7) await this.delete(this.key());
      else if (kind < 8) await this.deleteRange(this.draw(KEYS), 1 + this.draw(6));
      else await this.txn();
    }
  }

  private async put(key: string): Promise<void> {
    const value = this.value();
    const { header } = await this.client.put({ table: this.table, key, value });
    this.record(header.revision, putting(key, value));
  }

  private async delete(key: string): Promise<void> {
    const { header } = await this.client.deleteRange({ table: this.table, key });
    this.record(header.revision, deleting(key));
  }

  private async deleteRange(from: number, count: number): Promise<void> {
    const [key, rangeEnd] = [nameOf(from), nameOf(from + count)];
    const { header } = await this.client.deleteRange({ table: this.table, key, rangeEnd });
    const gone = Array.from({ length: count }, (_, at) => deleting(nameOf(from + at)));
    this.record(header.revision, ...gone);
  }

  /** If there is a key, another one is written; else it is written itself, and another one deleted. */
  private async txn(): Promise<void> {
    const at = this.draw(KEYS);
    const [key, other, third] = [nameOf(at), nameOf(at + 1), nameOf(at + 2)];
    const value = this.value();
    const { header, succeeded } = await this.client.txn({
      table: this.table,
      compare: [
        {
          result: 0,
          target: 0,
          key: Buffer.from(key),
          targetUnion: undefined,
          rangeEnd: Buffer.alloc(0),
        },
      ],
      success: [putOp(other, value), deleteOp(third)],
      failure: [putOp(key, value), deleteOp(other)],
    });
    if (succeeded !== this.rows.has(key)) throw new Error(`a transaction on ${key} went wrong`);
    if (succeeded) this.record(header.revision, putting(other, value), deleting(third));
    else this.record(header.revision, putting(key, value), deleting(other));
  }

  private record(revision: number, ...changes: readonly Change[]): void {
    const before = this.states.at(-1)?.revision ?? 0;
    if (revision <= before) throw new Error(`revision ${revision} after ${before}`);
    const rows = new Map(this.rows);
    for (const change of changes) change(rows, revision);
    this.rows = rows;
    this.states.push({ revision, rows });
  }

  private key(): string {
    return nameOf(this.draw(KEYS));
  }

  private value(): string {
    this.written++;
    return `${this.written} ${'x'.repeat(this.draw(VALUE_BYTES_MAX))}`;
  }
}

/** What a node says that a table is, in the same form. */
export async function readRecorded(address: string, table: string): Promise<RecordedRows> {
  const rows = new Map<string, RecordedRow>();
  const reading = tableRows(address, table);
  for (;;) {
    const next = await reading.next();
    if (next.done === true) return rows;
    const { key, value, createRevision, modRevision, version } = next.value;
    rows.set(key.toString(), {
      value: value.toString(),
      createRevision: Number(createRevision),
      modRevision: Number(modRevision),
      version: Number(version),
    });
  }
}

function putting(key: string, value: string): Change {
  return (rows, revision) => {
    const before = rows.get(key);
    rows.set(key, {
      value,
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      version: (before?.version ?? 0) + 1,
    });
  };
}

function deleting(key: string): Change {
  return (rows) => void rows.delete(key);
}

function putOp(key: string, value: string): mvccV1.RequestOp {
  const put = { key: Buffer.from(key), value: Buffer.from(value), prevKv: false };
  return { request: { $case: 'requestPut', value: put } };
}

function deleteOp(key: string): mvccV1.RequestOp {
  const gone = {
    key: Buffer.from(key),
    rangeEnd: Buffer.alloc(0),
    prevKv: false,
    count: false,
  };
  return { request: { $case: 'requestDeleteRange', value: gone } };
}

function nameOf(nth: number): string {
  return `key ${String(nth).padStart(3, '0')}`;
}
