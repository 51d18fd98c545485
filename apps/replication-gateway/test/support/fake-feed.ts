/**
 * Logs and tables as a test says they are, in the place of the nodes of a cluster.
 */
import { createCipheriv } from 'node:crypto';
import { hot, mvccV1 } from '@flotilla/proto';
import { type ChangesChunk } from '../../src/leader/armada-changes.js';
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

/** The same bytes each time, which snappy cannot make smaller. */
export function noise(bytes: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(
    Buffer.alloc(bytes),
  );
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

/** A table with its pairs in order. What changed in it is up to the test. */
export class FakeTable {
  failure: { readonly after: number; readonly error: Error } | undefined;
  rowsPerChunk = 100;
  changes: (sinceRevision: number) => readonly ChangesChunk[] = () => [];

  constructor(
    readonly pairs: readonly (readonly [Buffer, Buffer])[],
    readonly appliedIndex: number,
  ) {}

  async *readTable(): AsyncGenerator<TableChunk, void, undefined> {
    const { appliedIndex, pairs } = this;
    const position = positionAt(appliedIndex);
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

  async *readChanges(
    _: Buffer,
    sinceRevision: number,
  ): AsyncGenerator<ChangesChunk, void, undefined> {
    for (const chunk of this.changes(sinceRevision)) {
      await Promise.resolve();
      yield chunk;
    }
    if (this.failure) throw this.failure.error;
  }
}

/** What a node tells of a table first. */
export function positionAt(appliedIndex: number): hot.FeedTablePosition {
  return { tableId: 10_001, epoch: 10_001, appliedIndex, revision: appliedIndex };
}

/** Counts for nobody. */
export const NO_METRICS = {
  commands: () => undefined,
  snapshot: () => undefined,
  snapshotBytes: () => undefined,
};
