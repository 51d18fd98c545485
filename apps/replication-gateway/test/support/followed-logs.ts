/**
 * Logs that tests append to, in the place of the nodes of a cluster: who follows one is given what is there in
 * chunks of a bounded size, and more as it comes.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type hot } from '@flotilla/proto';
import {
  type FollowOptions,
  type LogChunk,
  type ReadOptions,
  type TableChunk,
  type TableHistory,
  type TablePart,
} from '../../src/nodes/feed.js';
import { type KnownTable, type TablesListener } from '../../src/nodes/table-directory.js';

const NOTHING = { position: undefined, entries: [], compacted: false, firstIndex: 0 };

export class FollowedLog {
  firstIndex = 1;
  /** How often it was opened, by the first wanted index. */
  readonly openedFrom: number[] = [];
  /** What each of them said of the entry before that. */
  readonly openedWith: (bigint | undefined)[] = [];
  /** Told to who has another entry than the one with this check. */
  divergedFrom: bigint | undefined;
  /** Chunks that were given away. */
  chunks = 0;
  /** Readers that are there now. */
  readers = 0;
  failure: Error | undefined;
  private readonly commands: Buffer[] = [];
  private readonly waiting = new Set<() => void>();

  get appliedIndex(): number {
    return this.commands.length;
  }

  append(...commands: Buffer[]): void {
    this.commands.push(...commands);
    this.wake();
  }

  fail(error: Error): void {
    this.failure = error;
    this.wake();
  }

  async *follow(
    epoch: number,
    from: number,
    { signal, chunkBytesMax, previousCheck }: FollowOptions,
  ): AsyncGenerator<LogChunk, void, undefined> {
    this.openedFrom.push(from);
    this.openedWith.push(previousCheck);
    this.readers++;
    try {
      const { firstIndex, appliedIndex } = this;
      yield {
        ...NOTHING,
        position: { tableId: epoch, epoch, firstIndex, appliedIndex },
        appliedIndex,
      };
      if (from > appliedIndex + 1) return;
      if (this.divergedFrom !== undefined && previousCheck !== this.divergedFrom) {
        yield { ...NOTHING, appliedIndex, diverged: true, lastCheck: this.divergedFrom };
        return;
      }
      for (let next = from; ;) {
        if (this.failure) throw this.failure;
        if (signal.aborted) throw new GrpcStatusError(status.CANCELLED, 'cancelled');
        if (next < this.firstIndex) {
          const cut = { compacted: true, firstIndex: this.firstIndex };
          yield { ...NOTHING, ...cut, appliedIndex: this.appliedIndex };
          return;
        }
        const entries = this.entries(next, chunkBytesMax);
        if (entries.length === 0) {
          await this.more(signal);
          continue;
        }
        next += entries.length;
        this.chunks++;
        const lastCheck = BigInt(next - 1);
        yield { ...NOTHING, entries, appliedIndex: this.appliedIndex, lastCheck };
      }
    } finally {
      this.readers--;
    }
  }

  private entries(from: number, bytesMax: number): hot.ReceivedEntry[] {
    const entries: hot.ReceivedEntry[] = [];
    let bytes = 0;
    for (let index = from; index <= this.commands.length; index++) {
      const command = this.commands[index - 1] ?? Buffer.alloc(0);
      if (entries.length > 0 && bytes + command.length > bytesMax) break;
      entries.push({ index, command });
      bytes += command.length;
    }
    return entries;
  }

  private more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  private wake(): void {
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const tell of waiting) tell();
  }
}

/** A cluster of such logs, as a feed and as a directory. */
export class FollowedCluster {
  isKnown = true;
  cluster = { id: 'leader', generation: 1 };
  /** What a read of a table gives; where `next` is set, it is waited for between two chunks. */
  told: (TableChunk | Error)[] & { next?: Promise<void> } = [];
  readonly reads: (Partial<TablePart> & { readonly table: string })[] = [];
  chunksRead = 0;
  readonly logs = new Map<number, FollowedLog>();
  private readonly tables = new Map<number, KnownTable>();
  private readonly listeners = new Set<TablesListener>();

  create(id: number, name = `t${id}`): FollowedLog {
    const log = new FollowedLog();
    this.logs.set(id, log);
    this.tables.set(id, { id, name, epoch: id, replicas: [1], revision: 0 });
    this.tell(id);
    return log;
  }

  delete(id: number): void {
    this.tables.delete(id);
    this.tell(id);
  }

  ids(): Iterable<number> {
    return this.tables.keys();
  }

  findById(id: number): KnownTable | undefined {
    return this.tables.get(id);
  }

  onChange(listener: TablesListener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  followLog(
    { epoch }: TableHistory,
    from: number,
    options: FollowOptions,
  ): AsyncGenerator<LogChunk> {
    const log = this.logs.get(epoch);
    if (!log) throw new GrpcStatusError(status.NOT_FOUND, 'table not found');
    return log.follow(epoch, from, options);
  }

  /** As the test says it is. */
  readTable(
    table: Buffer,
    { signal }: ReadOptions,
    part: Partial<TablePart> = {},
  ): AsyncGenerator<TableChunk, void, undefined> {
    this.reads.push({ table: table.toString(), ...part });
    return this.chunks(signal);
  }

  private async *chunks(signal: AbortSignal): AsyncGenerator<TableChunk, void, undefined> {
    for (const chunk of this.told) {
      if (chunk instanceof Error) throw chunk;
      if (signal.aborted) throw new GrpcStatusError(status.CANCELLED, 'cancelled');
      this.chunksRead++;
      yield chunk;
      await this.told.next;
    }
  }

  private tell(id: number): void {
    for (const listener of this.listeners) listener([id]);
  }
}
