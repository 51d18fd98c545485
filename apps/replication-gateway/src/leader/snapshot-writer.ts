/**
 * A table as one framed snappy stream, whoever asked for it and however it travels.
 *
 *   pairs --> length and PUT, each --> one framed snappy stream --> pieces of a wanted size
 *         ... --> DUMMY with the index that the pairs stand for: what comes next in the log follows it
 *
 * Nothing is gathered, in memory or on disk: a piece leaves as soon as it is full. Without the closing
 * record a snapshot is not whole, so one that breaks must end with an error.
 */
import { SnappyFramedEncoder } from '@flotilla/grpc';
import { hot } from '@flotilla/proto';
import { type Feed, type ReadOptions, type TableChunk } from '../nodes/feed.js';
import { type ChangesReader, changesSince } from './armada-changes.js';
import { type ReplicationMetrics } from './replication-metrics.js';
import { RunningSnapshots } from './running-snapshots.js';

export interface WantedSnapshot {
  readonly table: Buffer;
  /** Only what changed after this index of the log; undefined for the whole table. */
  readonly since: bigint | undefined;
  /** The last piece is smaller, the others are as large. */
  readonly pieceBytesMax: number;
}

/** Takes the next piece; the one after it waits. */
export type GivePiece = (piece: Buffer) => Promise<void>;

export class SnapshotWriter {
  constructor(
    private readonly feed: Pick<Feed, 'readTable'>,
    private readonly changes: ChangesReader,
    private readonly metrics: Pick<ReplicationMetrics, 'snapshot' | 'snapshotBytes'>,
    private readonly running = new RunningSnapshots(),
  ) {}

  /** Settles when all of it was given. Rejects with GrpcStatusError, and as `give` does. */
  async write(wanted: WantedSnapshot, options: ReadOptions, give: GivePiece): Promise<void> {
    const name = wanted.table.toString();
    const out = new PieceWriter(wanted.pieceBytesMax, async (piece) => {
      await give(piece);
      this.metrics.snapshotBytes(name, piece.length);
    });
    await this.running.run(async () => {
      try {
        for await (const plain of this.records(wanted, options)) await out.write(plain);
        await out.end();
        this.metrics.snapshot(name, 'done');
      } catch (error) {
        this.metrics.snapshot(name, 'failed');
        throw error;
      }
    });
  }

  private records({ table, since }: WantedSnapshot, options: ReadOptions): AsyncIterable<Buffer> {
    return since === undefined
      ? wholeTable(this.feed.readTable(table, options), table)
      : changesSince(this.changes, table, since, options);
  }
}

async function* wholeTable(
  chunks: AsyncIterable<TableChunk>,
  table: Buffer,
): AsyncGenerator<Buffer, void, undefined> {
  let index = 0;
  for await (const { position, rows } of chunks) {
    if (position) index = position.appliedIndex;
    yield Buffer.concat(rows.map(({ key, value }) => hot.encodeSnapshotPair(table, key, value)));
  }
  yield hot.encodeSnapshotEnd(table, index);
}

/** Packs plain bytes and cuts what comes out into pieces. */
class PieceWriter {
  private readonly encoder = new SnappyFramedEncoder();
  private parts: Buffer[] = [];
  private bytes = 0;

  constructor(
    private readonly bytesMax: number,
    private readonly give: GivePiece,
  ) {}

  async write(plain: Uint8Array): Promise<void> {
    this.take(this.encoder.push(plain));
    while (this.bytes >= this.bytesMax) await this.givePiece();
  }

  async end(): Promise<void> {
    this.take(this.encoder.end());
    while (this.bytes > 0) await this.givePiece();
  }

  private take(packed: readonly Buffer[]): void {
    for (const part of packed) {
      this.parts.push(part);
      this.bytes += part.length;
    }
  }

  private async givePiece(): Promise<void> {
    const whole = Buffer.concat(this.parts);
    const piece = whole.subarray(0, this.bytesMax);
    const rest = whole.subarray(piece.length);
    this.parts = rest.length > 0 ? [rest] : [];
    this.bytes = rest.length;
    await this.give(piece);
  }
}
