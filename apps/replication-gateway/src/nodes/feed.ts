/**
 * Logs and whole tables, from whichever node can give them.
 *
 * In: a table's name, where to begin. Out: chunks. A log goes on at another node when one is lost, from
 * the entry that comes next: its reader notices nothing. A whole table does not, because another node
 * has it as of another moment. The history of a table is never mixed with that of another one of the
 * same name.
 */
import { GrpcStatusError, status, type StatusCode } from '@flotilla/grpc';
import { feedV1, hot } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { passedOn } from './node-error.js';
import { type NodePool, type NodeWay } from './node-pool.js';
import { type TableDirectory } from './table-directory.js';

export const READ_LOG = '/flotilla.replication.v1.Feed/ReadLog';
export const READ_TABLE = '/flotilla.replication.v1.Feed/ReadTable';
/** How a node ends a stream whose reader rests for too long; it goes on when it is read again. */
const RESTED = status.DEADLINE_EXCEEDED;
/** Nodes that are tried in a row before a call is given up; they are tried in rounds. */
const ATTEMPTS_MAX = 12;
const PAUSE_MS = 50;
const PAUSE_MS_MAX = 500;

export interface ReadOptions {
  /** How long the whole may take; undefined for as long as it takes. */
  readonly deadlineMs: number | undefined;
  readonly signal: AbortSignal;
}

export interface LogOptions extends ReadOptions {
  /** Bytes of commands in a chunk. */
  readonly chunkBytesMax: number;
}

export type LogChunk = hot.FeedLogChunk<hot.ReceivedEntry>;
export type TableChunk = hot.ReceivedTableChunk;

/** A table and the history of it that is meant. */
export interface TableHistory {
  readonly name: string;
  readonly epoch: number;
}

export interface FollowOptions {
  readonly signal: AbortSignal;
  /** Of the entry before the first one; undefined if it is not known. */
  readonly previousCheck?: bigint | undefined;
  /** Bytes of commands in a chunk. */
  readonly chunkBytesMax: number;
}

/** Which part of a table is wanted, and of which history: as in `ReadTableRequest`. */
export type TablePart = Pick<
  feedV1.ReadTableRequest,
  'epoch' | 'atRevision' | 'afterKey' | 'sinceRevision'
>;

const WHOLE: TablePart = {
  epoch: 0n,
  atRevision: 0n,
  afterKey: Buffer.alloc(0),
  sinceRevision: 0n,
};

export class Feed {
  constructor(
    private readonly pool: NodePool,
    private readonly directory: TableDirectory,
    private readonly clock: GatewayClock,
  ) {}

  /**
   * The log from `from` on, to the end as it was when the call began: its first chunk has the position,
   * the others entries without gaps, or say that the log was cut.
   */
  async *readLog(
    table: Buffer,
    from: number,
    options: LogOptions,
  ): AsyncGenerator<LogChunk, void, undefined> {
    let position: hot.FeedLogPosition | undefined;
    let next = from;
    for (const attempts = new Attempts(this.clock, options.signal); ;) {
      const way = this.wayTo(table);
      const request = feedV1.ReadLogRequest.encode({
        table,
        epoch: BigInt(position?.epoch ?? 0),
        from: BigInt(next),
        follow: false,
        linearizable: true,
        chunkBytesMax: options.chunkBytesMax,
      }).finish();
      try {
        for await (const bytes of this.stream(way, READ_LOG, request, options)) {
          const chunk = hot.decodeLogChunk(bytes);
          this.pool.worked(way);
          if (position === undefined) {
            position = chunk.position;
            if (position === undefined) throw garbled('a log does not begin with its position');
            yield chunk;
            continue;
          }
          const due = until(chunk, next, position.appliedIndex);
          next += due.entries.length;
          attempts.progressed();
          if (due.entries.length > 0 || due.compacted) yield due;
          if (due.compacted) return;
        }
        if (position === undefined) throw garbled('a log ended before its position');
        if (next > position.appliedIndex) return;
        // Whoever answered does not have all that another one has told before: it will.
        throw new GrpcStatusError(status.UNAVAILABLE, 'a replica is behind');
      } catch (error) {
        await this.another(attempts, way, error);
      }
    }
  }

  /**
   * The log from `from` on, and on: each chunk as soon as a node has it and the reader wants it. The first one
   * has the position, and is the only one if the log ends before `from`; the others have entries
   * without gaps, or say that the log was cut, or is of another history, which is the end. That is asked of
   * each node anew. While nobody reads, nothing is read.
   */
  async *followLog(
    { name, epoch }: TableHistory,
    from: number,
    options: FollowOptions,
  ): AsyncGenerator<LogChunk, void, undefined> {
    const table = Buffer.from(name);
    const { chunkBytesMax } = options;
    let begun = false;
    let next = from;
    let { previousCheck } = options;
    for (const attempts = new Attempts(this.clock, options.signal); ;) {
      const way = this.wayTo(table);
      const place = { from: BigInt(next), previousCheck };
      const wanted = { table, epoch: BigInt(epoch), ...place, chunkBytesMax };
      const request = feedV1.ReadLogRequest.encode({ ...wanted, follow: true, linearizable: true });
      const unbounded = { deadlineMs: undefined, signal: options.signal };
      try {
        for await (const bytes of this.stream(way, READ_LOG, request.finish(), unbounded)) {
          const chunk = hot.decodeLogChunk(bytes);
          this.pool.worked(way);
          if (!begun && !chunk.position) throw garbled('a log does not begin with its position');
          const due = until(chunk, next, Infinity);
          next += due.entries.length;
          if (due.entries.length > 0) previousCheck = due.lastCheck;
          attempts.progressed();
          const isEnd = due.compacted || due.diverged === true;
          if (!begun || due.entries.length > 0 || isEnd) yield due;
          if (isEnd || (!begun && chunk.appliedIndex + 1 < next)) return;
          begun = true;
        }
        // Whoever answered does not have all that another one has told before, or is going away.
        throw new GrpcStatusError(status.UNAVAILABLE, 'a log that was followed came to an end');
      } catch (error) {
        await this.another(attempts, way, error, RESTED);
      }
    }
  }

  /**
   * All pairs as of one moment, or the part of them that is wanted. Rejects with Unavailable when the
   * node is lost in between.
   */
  async *readTable(
    table: Buffer,
    options: ReadOptions,
    part: TablePart = WHOLE,
  ): AsyncGenerator<TableChunk, void, undefined> {
    const request = feedV1.ReadTableRequest.encode({
      table,
      linearizable: true,
      chunkBytesMax: 0,
      ...part,
    }).finish();
    for (const attempts = new Attempts(this.clock, options.signal); ;) {
      const way = this.wayTo(table);
      let begun = false;
      let more = true;
      try {
        for await (const bytes of this.stream(way, READ_TABLE, request, options)) {
          const chunk = hot.decodeTableChunk(bytes);
          if (!begun && chunk.position === undefined) {
            throw garbled('a table does not begin with its position');
          }
          this.pool.worked(way);
          begun = true;
          more = chunk.more;
          yield chunk;
        }
        // A stream that was cut must not pass for a table that is complete.
        if (more) throw new GrpcStatusError(status.UNAVAILABLE, 'a table was cut short');
        return;
      } catch (error) {
        if (begun) throw passedOn(error);
        await this.another(attempts, way, error);
      }
    }
  }

  private stream(
    { client }: NodeWay,
    method: string,
    request: Uint8Array,
    { deadlineMs, signal }: ReadOptions,
  ): AsyncIterable<Buffer> {
    const metadata = this.pool.credentials;
    const leftMs = deadlineMs === undefined ? undefined : deadlineMs - this.clock.nowMs();
    const deadline = leftMs === undefined ? {} : { deadlineMs: Math.max(1, Math.ceil(leftMs)) };
    return client.serverStream(method, request, { signal, metadata, ...deadline });
  }

  private wayTo(table: Buffer): NodeWay {
    const [way] = this.pool.ways(this.directory.find(table.toString())?.replicas);
    if (!way) throw new GrpcStatusError(status.UNAVAILABLE, 'no node is known');
    return way;
  }

  private async another(
    attempts: Attempts,
    way: NodeWay,
    error: unknown,
    harmless?: StatusCode,
  ): Promise<void> {
    if (!(error instanceof GrpcStatusError)) throw passedOn(error);
    const isHarmless = error.code === harmless;
    if (error.code !== status.UNAVAILABLE && !isHarmless) throw passedOn(error);
    if (!isHarmless) this.pool.failed(way);
    await attempts.pause(error);
  }
}

/** Attempts in a row that came to nothing. */
class Attempts {
  private failed = 0;

  constructor(
    private readonly clock: GatewayClock,
    private readonly signal: AbortSignal,
  ) {}

  progressed(): void {
    this.failed = 0;
  }

  /** Settles when the next one is due; throws the error if there is none. */
  async pause(error: GrpcStatusError): Promise<void> {
    this.failed++;
    if (this.failed >= ATTEMPTS_MAX) throw passedOn(error);
    const pauseMs = Math.min(PAUSE_MS * 2 ** (this.failed - 1), PAUSE_MS_MAX);
    await this.clock.sleep(pauseMs, this.signal);
    if (this.signal.aborted) throw error;
  }
}

/** The entries that are due, which must follow those before. */
function until(chunk: LogChunk, next: number, last: number): LogChunk {
  const entries = chunk.entries.filter(({ index }) => index <= last);
  for (const [at, { index }] of entries.entries()) {
    if (index !== next + at) throw garbled(`entry ${index} came where ${next + at} was due`);
  }
  return { ...chunk, entries };
}

function garbled(message: string): GrpcStatusError {
  return new GrpcStatusError(status.INTERNAL, message);
}
