/**
 * A table in memory with all of its history and its log.
 *
 * In: writes of a test. Out: what it was at any revision, told by what the test wrote; and the same writes as
 * entries of a log, which say it in the words of the contract. Neither is made from the other.
 */
import { mvccV1 } from '@flotilla/proto';
import { type Row } from '../format/records.js';
import { type LogEntry } from '../ports.js';

interface Version {
  readonly revision: number;
  readonly key: Buffer;
  /** Undefined: deleted. */
  readonly value: Buffer | undefined;
}

export interface FakeWrite {
  readonly key: Buffer;
  /** Undefined: deleted. */
  readonly value: Buffer | undefined;
}

const { Command, Command_CommandType: Type } = mvccV1;

export class FakeTable {
  revision = 0;
  /** Nothing before it can be told any more. */
  keptFrom = 0;
  /** The log begins here. */
  logFrom = 1;
  /** Entries of another one are others, whatever they hold. */
  history = 1;
  readonly versions: Version[] = [];
  readonly log: LogEntry[] = [];
  /** What it was when it came to be. */
  base: readonly Row[] = [];
  onChange: () => void = () => undefined;

  constructor(
    readonly tableId: number,
    readonly epoch: number,
  ) {}

  put(key: Buffer, value: Buffer | undefined): number {
    const kv = { key, value: value ?? Buffer.alloc(0), createRevision: 0n, modRevision: 0n };
    const type = value ? Type.PUT : Type.DELETE;
    return this.write([{ key, value }], Command.fromPartial({ type, kv }));
  }

  /** All keys from one to another, which stays. */
  deleteRange(from: Buffer, to: Buffer): number {
    const keys = [...this.at(this.revision).values()].map(({ key }) => key);
    const due = keys.filter((key) => key.compare(from) >= 0 && key.compare(to) < 0);
    const gone = due.map((key) => ({ key, value: undefined }));
    const command = { type: Type.DELETE, kv: { key: from }, rangeEnd: to };
    return this.write(gone, Command.fromPartial(command));
  }

  /** Several keys, each once. */
  txn(writes: readonly FakeWrite[]): number {
    const success = writes.map(({ key, value }): mvccV1.RequestOp => {
      const request: mvccV1.RequestOp['request'] = value
        ? { $case: 'requestPut', value: { key, value, prevKv: false } }
        : {
            $case: 'requestDeleteRange',
            value: { key, rangeEnd: Buffer.alloc(0), prevKv: false, count: false },
          };
      return { request };
    });
    const txn = { compare: [], success, failure: [] };
    return this.write(writes, Command.fromPartial({ type: Type.TXN, txn }));
  }

  /** An entry that changes nothing: without a command, or with one that does nothing. */
  nothing(hasCommand: boolean): number {
    return this.write([], hasCommand ? Command.fromPartial({ type: Type.DUMMY }) : undefined);
  }

  /** As it was, by key. */
  at(revision: number): Map<string, Row> {
    const rows = new Map(this.base.map((row) => [row.key.toString('hex'), row]));
    for (const each of this.versions) {
      if (each.revision > revision) break;
      const name = each.key.toString('hex');
      const before = rows.get(name);
      if (each.value === undefined) rows.delete(name);
      else {
        rows.set(name, {
          key: each.key,
          value: each.value,
          createRevision: before?.createRevision ?? each.revision,
          modRevision: each.revision,
          version: (before?.version ?? 0) + 1,
        });
      }
    }
    return rows;
  }

  private write(writes: readonly FakeWrite[], command: mvccV1.Command | undefined): number {
    this.revision++;
    for (const { key, value } of writes) {
      this.versions.push({ revision: this.revision, key, value });
    }
    const bytes = command ? Command.encode(command).finish() : Buffer.alloc(0);
    this.log.push({ index: this.revision, command: Buffer.from(bytes) });
    this.onChange();
    return this.revision;
  }
}
