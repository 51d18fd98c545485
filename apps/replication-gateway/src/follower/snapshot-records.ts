/**
 * A snapshot as servers of Regatta stream it, read record by record.
 *
 *   chunks of a framed snappy stream --> length (64 bits, little-endian), command --> pairs
 *                                                 ... --> DUMMY with the index they stand for
 *
 * Strict: a length is compared with a bound before it is believed (defect B20), no record is
 * dropped at a boundary (B1), the closing record is no pair (B2), and without it a snapshot is not
 * whole. Keeps no more than one unfinished record and what came with its last piece.
 */
import { SnappyFramedDecoder } from '@flotilla/grpc';
import { mvccV1 } from '@flotilla/proto';

/** A pair with the largest key and value is a third of it. */
export const RECORD_BYTES_MAX = 8 * 1024 * 1024;
const LENGTH_BYTES = 8;
const { PUT, DUMMY } = mvccV1.Command_CommandType;

export interface Pair {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** What was sent is not a snapshot, or not all of one. */
export class SnapshotDamagedError extends Error {
  override readonly name = 'SnapshotDamagedError';
}

export class SnapshotRecords {
  private readonly decoder = new SnappyFramedDecoder();
  private parts: Buffer[] = [];
  private bytes = 0;
  private index: number | undefined;

  /** Pairs that are complete with this piece. */
  *push(piece: Buffer): Generator<Pair, void, undefined> {
    for (const plain of this.decoder.push(piece)) {
      this.parts.push(plain);
      this.bytes += plain.length;
      yield* this.records();
    }
  }

  /** Index of the leader cluster's log that the pairs stand for. Throws if the stream was cut. */
  end(): number {
    this.decoder.end();
    if (this.bytes > 0) throw damaged(`${this.bytes} bytes follow the last record`);
    if (this.index === undefined) throw damaged('the record that closes a snapshot is missing');
    return this.index;
  }

  private *records(): Generator<Pair, void, undefined> {
    for (;;) {
      if (this.bytes < LENGTH_BYTES) return;
      const head = this.joined(LENGTH_BYTES);
      const length = head.readBigUInt64LE(0);
      if (length > BigInt(RECORD_BYTES_MAX)) throw damaged(`a record of ${length} bytes`);
      const recordBytes = LENGTH_BYTES + Number(length);
      if (this.bytes < recordBytes) return;
      const whole = this.joined(recordBytes);
      const pair = this.pairOf(whole.subarray(LENGTH_BYTES, recordBytes));
      this.parts[0] = whole.subarray(recordBytes);
      this.bytes -= recordBytes;
      if (pair) yield pair;
    }
  }

  /** The first part, with at least so many bytes; joined only where it has fewer. */
  private joined(bytes: number): Buffer {
    const [first = Buffer.alloc(0)] = this.parts;
    if (first.length >= bytes) return first;
    const whole = Buffer.concat(this.parts);
    this.parts = [whole];
    return whole;
  }

  private pairOf(record: Buffer): Pair | undefined {
    if (this.index !== undefined) throw damaged('a record follows the closing one');
    const { type, kv, leaderIndex } = mvccV1.Command.decode(record);
    if (type === PUT && kv) return { key: kv.key, value: kv.value };
    if (type !== DUMMY) throw damaged(`it holds a command of type ${type}`);
    if (leaderIndex === undefined || leaderIndex > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw damaged(`its index is ${leaderIndex ?? 'missing'}`);
    }
    this.index = Number(leaderIndex);
    return undefined;
  }
}

function damaged(what: string): SnapshotDamagedError {
  return new SnapshotDamagedError(`a snapshot cannot be read: ${what}`);
}
