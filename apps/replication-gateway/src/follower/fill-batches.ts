/**
 * The pairs of a snapshot as commands that a copy can apply: PUT_BATCH after PUT_BATCH, and a
 * DUMMY.
 *
 * Every command of a copy needs a leader index that grows, and the one that the pairs stand for
 * comes only after all of them. So batches are numbered from 1, and the DUMMY takes the copy to its
 * index. That works as long as there are fewer batches than entries in the log that made the pairs:
 * small ones, which nodes apply in a moment, nearly always are; if not, large ones are, because
 * they hold more than any entry that servers of Regatta make. Pure.
 */
import { mvccV1 } from '@flotilla/proto';
import { type Pair } from './snapshot-records.js';

export interface FillBounds {
  /** Bytes of a command; a pair that is larger goes alone. */
  readonly bytesMax: number;
  readonly pairsMax: number;
}

export const SMALL_BATCHES: FillBounds = { bytesMax: 1024 * 1024, pairsMax: 4_096 };
/** A restored table of Regatta was written 3 MiB at a time; nodes take requests of 4 MiB. */
export const LARGE_BATCHES: FillBounds = { bytesMax: 3.5 * 1024 * 1024, pairsMax: Infinity };

const { PUT_BATCH, DUMMY } = mvccV1.Command_CommandType;

/** There are more batches than indexes that they may have. */
export class BatchesTooSmallError extends Error {
  override readonly name = 'BatchesTooSmallError';
}

export class FillBatches {
  private pairs: Pair[] = [];
  private bytes = 0;
  private count = 0;

  constructor(
    private readonly table: string,
    private readonly bounds: FillBounds,
  ) {}

  /** Commands made so far, which is the index of the last one. */
  get made(): number {
    return this.count;
  }

  /** A command, where the pair does not fit into the one that is gathered. */
  add(pair: Pair): Buffer | undefined {
    const { bytesMax, pairsMax } = this.bounds;
    const bytes = fieldBytes(fieldBytes(pair.key.length) + fieldBytes(pair.value.length));
    const isFull = this.bytes + bytes > bytesMax || this.pairs.length >= pairsMax;
    const command = isFull ? this.flush() : undefined;
    this.pairs.push(pair);
    this.bytes += bytes;
    return command;
  }

  /** What is gathered, if there is any. */
  flush(): Buffer | undefined {
    if (this.pairs.length === 0) return undefined;
    const { pairs } = this;
    this.pairs = [];
    this.bytes = 0;
    this.count++;
    return this.command(PUT_BATCH, pairs.map(asKeyValue), this.count);
  }

  /** The last command: from it on the copy is what the leader cluster had at `index`. */
  close(index: number): Buffer {
    if (index > this.count) return this.command(DUMMY, [], index);
    throw new BatchesTooSmallError(`${this.count} batches do not fit in front of index ${index}`);
  }

  private command(
    type: mvccV1.Command_CommandType,
    batch: mvccV1.KeyValue[],
    index: number,
  ): Buffer {
    const command = mvccV1.Command.encode({
      table: Buffer.from(this.table),
      type,
      kv: undefined,
      leaderIndex: BigInt(index),
      batch,
      prevKvs: false,
      sequence: [],
      count: false,
    }).finish();
    return Buffer.from(command.buffer, command.byteOffset, command.byteLength);
  }
}

function asKeyValue({ key, value }: Pair): mvccV1.KeyValue {
  return { key, value, createRevision: 0n, modRevision: 0n };
}

/** Of a field with so many bytes of data: its tag, its length and these. */
function fieldBytes(length: number): number {
  let lengthBytes = 1;
  for (let rest = length; rest >= 0x80; rest >>>= 7) lengthBytes++;
  return 1 + lengthBytes + length;
}
