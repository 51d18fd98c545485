/**
 * A table that is filled out of sight, in memory: rows as they are, then commands one by one.
 *
 * In: batches of a restore. Out: rows. What a cluster refuses is an error here: revisions that do not grow,
 * rows behind commands, commands without content.
 */
import { mvccV1 } from '@flotilla/proto';
import { type Row } from '../format/records.js';
import { type LogEntry } from '../ports.js';

const { Command_CommandType: Type } = mvccV1;

export class FakeShadow {
  token = 1;
  batches = 0;
  note: Buffer = Buffer.alloc(0);
  /** Revisions of commands that were applied, in their order. */
  readonly applied: number[] = [];
  private readonly rows = new Map<string, Row>();
  private revision = 0;

  constructor(
    readonly tableId: number,
    readonly purpose: string,
  ) {}

  get filled(): readonly Row[] {
    return [...this.rows.values()].sort((a, b) => Buffer.compare(a.key, b.key));
  }

  fill(rows: readonly Row[], commands: readonly LogEntry[]): void {
    if (rows.length > 0 && this.applied.length > 0) throw new Error('rows behind commands');
    for (const { key, value, createRevision, modRevision, version } of rows) {
      const row = { key, value, createRevision, modRevision, version };
      this.rows.set(key.toString('hex'), row);
      this.revision = Math.max(this.revision, modRevision);
    }
    for (const { index, command } of commands) {
      if (index <= this.revision) throw new Error(`revision ${index} after ${this.revision}`);
      if (command.length === 0) throw new Error(`revision ${index} holds no command`);
      this.revision = index;
      this.applied.push(index);
      this.apply(mvccV1.Command.decode(command));
    }
  }

  private apply({ type, kv, rangeEnd, txn }: mvccV1.Command): void {
    if (type === Type.PUT && kv) this.put(kv.key, kv.value);
    else if (type === Type.DELETE && kv) this.delete(kv.key, rangeEnd);
    else if (type === Type.TXN) {
      for (const { request } of txn?.success ?? []) {
        if (request?.$case === 'requestPut') this.put(request.value.key, request.value.value);
        if (request?.$case === 'requestDeleteRange') this.delete(request.value.key, undefined);
      }
    } else if (type !== Type.DUMMY) throw new Error(`a command of type ${type}`);
  }

  private put(key: Buffer, value: Buffer): void {
    const name = key.toString('hex');
    const before = this.rows.get(name);
    const modRevision = this.revision;
    const createRevision = before?.createRevision ?? modRevision;
    const version = (before?.version ?? 0) + 1;
    this.rows.set(name, { key, value, createRevision, modRevision, version });
  }

  private delete(key: Buffer, rangeEnd: Buffer | undefined): void {
    if (!rangeEnd) this.rows.delete(key.toString('hex'));
    else {
      for (const [name, row] of this.rows) {
        if (row.key.compare(key) >= 0 && row.key.compare(rangeEnd) < 0) this.rows.delete(name);
      }
    }
  }
}
