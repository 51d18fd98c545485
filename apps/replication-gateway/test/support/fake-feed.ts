/**
 * Logs and tables as a test says they are, in the place of the nodes of a cluster.
 */
import { hot, mvccV1 } from '@flotilla/proto';
import { type LogChunk, type TableChunk } from '../../src/nodes/feed.js';

export const TABLE = Buffer.from('orders');

const { Command, Command_CommandType } = mvccV1;

export function putCommand(key: string, value: string | Buffer = `value of ${key}`): Buffer {
  const fields = { table: TABLE, key: Buffer.from(key), value: Buffer.from(value), prevKv: false };
  return hot.encodePutCommand(fields);
}

export function gcCommand(): Buffer {
  const fields = { table: TABLE, type: Command_CommandType.GC, leaderIndex: 3n };
  return Buffer.from(Command.encode(Command.fromPartial(fields)).finish());
}

/** A log whose first entry has the index `firstIndex`. */
export class FakeLog {
  /** Thrown in the place of what would come next, once so many entries were given. */
  failure: { readonly after: number; readonly error: Error } | undefined;
  entriesPerChunk = 2;

  constructor(
    readonly commands: readonly Buffer[],
    readonly firstIndex = 1,
  ) {}

  get appliedIndex(): number {
    return this.firstIndex + this.commands.length - 1;
  }

  async *readLog(_: Buffer, from: number): AsyncGenerator<LogChunk, void, undefined> {
    const { firstIndex, appliedIndex } = this;
    const nothing = { position: undefined, entries: [], compacted: false, firstIndex: 0 };
    const position = { tableId: 10_001, epoch: 10_001, firstIndex, appliedIndex };
    yield { ...nothing, position, appliedIndex };
    if (from < firstIndex) {
      yield { ...nothing, appliedIndex, compacted: true, firstIndex };
      return;
    }
    for (let next = from; next <= appliedIndex; next += this.entriesPerChunk) {
      if (this.failure && next - from >= this.failure.after) throw this.failure.error;
      const count = Math.min(this.entriesPerChunk, appliedIndex - next + 1);
      const entries = Array.from({ length: count }, (_each, at) => ({
        index: next + at,
        command: this.commands[next + at - firstIndex] ?? Buffer.alloc(0),
      }));
      yield { ...nothing, entries, appliedIndex };
    }
  }
}

/** A table with its pairs in order. */
export class FakeTable {
  failure: { readonly after: number; readonly error: Error } | undefined;
  rowsPerChunk = 100;

  constructor(
    readonly pairs: readonly (readonly [Buffer, Buffer])[],
    readonly appliedIndex: number,
  ) {}

  async *readTable(): AsyncGenerator<TableChunk, void, undefined> {
    const { appliedIndex, pairs } = this;
    const position = { tableId: 10_001, epoch: 10_001, appliedIndex, revision: appliedIndex };
    for (let at = 0; at === 0 || at < pairs.length; at += this.rowsPerChunk) {
      if (this.failure && at >= this.failure.after) throw this.failure.error;
      const rows = pairs.slice(at, at + this.rowsPerChunk).map(([key, value]) => ({
        key,
        value,
        createRevision: 1,
        modRevision: 1,
        version: 1,
      }));
      const more = at + this.rowsPerChunk < pairs.length;
      yield { position: at === 0 ? position : undefined, rows, more, deletedKeys: [] };
    }
  }
}

/** Counts for nobody. */
export const NO_METRICS = {
  commands: () => undefined,
  snapshot: () => undefined,
  snapshotBytes: () => undefined,
};
