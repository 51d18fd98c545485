/**
 * What changed in a table, from whichever node can tell.
 *
 * In: a table's name, a revision. Out: chunks, the first one with the position, the last one without
 * `more`. A node that is lost before it said anything is replaced by another one; later it is not, because
 * another node has the table as of another moment.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { feedV1 } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { READ_TABLE, type ReadOptions } from '../nodes/feed.js';
import { passedOn } from '../nodes/node-error.js';
import { type NodePool, type NodeWay } from '../nodes/node-pool.js';
import { type TableDirectory } from '../nodes/table-directory.js';
import { type ChangesChunk, type ChangesReader } from './armada-changes.js';

/** Nodes that are tried before a call is given up. */
const ATTEMPTS_MAX = 6;
const PAUSE_MS = 50;

const { ReadTableRequest, TableChunk } = feedV1;

export class ArmadaChangesFeed implements ChangesReader {
  constructor(
    private readonly pool: NodePool,
    private readonly directory: Pick<TableDirectory, 'find'>,
    private readonly clock: GatewayClock,
  ) {}

  async *readChanges(
    table: Buffer,
    sinceRevision: number,
    options: ReadOptions,
  ): AsyncGenerator<ChangesChunk, void, undefined> {
    const wanted = { table, linearizable: true, sinceRevision: BigInt(sinceRevision) };
    const request = ReadTableRequest.encode(ReadTableRequest.fromPartial(wanted)).finish();
    for (let failed = 0; ;) {
      const way = this.wayTo(table);
      let more: boolean | undefined;
      try {
        for await (const bytes of this.stream(way, request, options)) {
          const chunk = chunkOf(TableChunk.decode(bytes));
          if (more === undefined && chunk.position === undefined) {
            throw new GrpcStatusError(status.INTERNAL, 'changes do not begin with their position');
          }
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

function chunkOf({ position, rows, more, deletedKeys }: feedV1.TableChunk): ChangesChunk {
  return {
    position: position && {
      tableId: Number(position.tableId),
      epoch: Number(position.epoch),
      appliedIndex: Number(position.appliedIndex),
      revision: Number(position.revision),
    },
    rows: rows.map((row) => ({
      key: row.key,
      value: row.value,
      createRevision: Number(row.createRevision),
      modRevision: Number(row.modRevision),
      version: Number(row.version),
    })),
    more,
    deletedKeys,
  };
}
