/**
 * What changed in a table after an index of its log, from whichever node can tell.
 *
 *   where does it stand? --> beyond that: its position alone
 *                        --> what changed after the index, in the same history
 *
 * In: a table's name, an index. Out: chunks, the first one with the position, the last one without `more`. A node
 * that is lost before it said anything is replaced by another one; later it is not, because another node
 * has the table as of another moment.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { feedV1, hot } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { READ_TABLE, type ReadOptions } from '../nodes/feed.js';
import { passedOn } from '../nodes/node-error.js';
import { type NodePool, type NodeWay } from '../nodes/node-pool.js';
import { type TableDirectory } from '../nodes/table-directory.js';
import { type ChangesChunk, type ChangesReader } from './armada-changes.js';

/** Nodes that are tried before a call is given up. */
const ATTEMPTS_MAX = 6;
const PAUSE_MS = 50;

const { ReadTableRequest } = feedV1;

export class ArmadaChangesFeed implements ChangesReader {
  constructor(
    private readonly pool: NodePool,
    private readonly directory: Pick<TableDirectory, 'find'>,
    private readonly clock: GatewayClock,
  ) {}

  async *readChanges(
    table: Buffer,
    afterIndex: number,
    options: ReadOptions,
  ): AsyncGenerator<ChangesChunk, void, undefined> {
    const position = await this.positionOf(table, options);
    const { appliedIndex, revision, epoch } = position;
    if (afterIndex > appliedIndex) {
      yield { position, rows: [], deletedKeys: [], more: false };
      return;
    }
    // Entries that changed nothing have an index and no revision: nodes are asked for one they have.
    const sinceRevision = BigInt(Math.min(afterIndex, revision));
    yield* this.chunks({ table, epoch: BigInt(epoch), sinceRevision }, options);
  }

  private async positionOf(table: Buffer, options: ReadOptions): Promise<hot.FeedTablePosition> {
    const enough = new AbortController();
    const signal = AbortSignal.any([options.signal, enough.signal]);
    try {
      const beginning = this.chunks({ table, chunkBytesMax: 1 }, { ...options, signal });
      for await (const { position } of beginning) if (position) return position;
    } finally {
      enough.abort();
    }
    throw noPosition();
  }

  private async *chunks(
    wanted: Partial<feedV1.ReadTableRequest> & { readonly table: Buffer },
    options: ReadOptions,
  ): AsyncGenerator<ChangesChunk, void, undefined> {
    const request = ReadTableRequest.fromPartial({ ...wanted, linearizable: true });
    const bytes = ReadTableRequest.encode(request).finish();
    for (let failed = 0; ;) {
      const way = this.wayTo(wanted.table);
      let more: boolean | undefined;
      try {
        for await (const message of this.stream(way, bytes, options)) {
          const chunk = hot.decodeTableChunk(message);
          if (more === undefined && chunk.position === undefined) throw noPosition();
          this.pool.worked(way);
          ({ more } = chunk);
          yield chunk;
        }
        if (more === false) return;
        throw new GrpcStatusError(status.UNAVAILABLE, 'a table was cut short');
      } catch (error) {
        const mayHelp = error instanceof GrpcStatusError && error.code === status.UNAVAILABLE;
        if (!mayHelp || more !== undefined || ++failed >= ATTEMPTS_MAX) throw passedOn(error);
        this.pool.failed(way);
        await this.clock.sleep(PAUSE_MS, options.signal);
        if (options.signal.aborted) throw error;
      }
    }
  }

  private stream(
    { client }: NodeWay,
    request: Uint8Array,
    { deadlineMs, signal }: ReadOptions,
  ): AsyncIterable<Buffer> {
    const leftMs = deadlineMs === undefined ? undefined : deadlineMs - this.clock.nowMs();
    return client.serverStream(READ_TABLE, request, {
      signal,
      metadata: this.pool.credentials,
      ...(leftMs !== undefined && { deadlineMs: Math.max(1, Math.ceil(leftMs)) }),
    });
  }

  private wayTo(table: Buffer): NodeWay {
    const [way] = this.pool.ways(this.directory.find(table.toString())?.replicas);
    if (!way) throw new GrpcStatusError(status.UNAVAILABLE, 'no node is known');
    return way;
  }
}

function noPosition(): GrpcStatusError {
  return new GrpcStatusError(status.INTERNAL, 'a table does not begin with its position');
}
