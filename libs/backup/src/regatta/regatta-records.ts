/**
 * Rows of a backup as Regatta streams them, once unpacked.
 *
 *   length (64 bits, little-endian), mvcc.v1.Command PUT --> key and value
 *
 * In: plain bytes, cut anywhere. Out: pairs. A length is held against a bound before it is believed
 * (defect B20), no record is dropped at a boundary (B1), a closing DUMMY, which backups of some servers
 * have, is no pair (B2). What ends inside of a record was cut.
 */
import { mvccV1 } from '@flotilla/proto';
import { damaged } from '../backup-error.js';

/** A pair with the largest key and value is a third of it. */
export const REGATTA_RECORD_BYTES_MAX = 8 * 1024 * 1024;
const LENGTH_BYTES = 8;
const { PUT, DUMMY } = mvccV1.Command_CommandType;

export interface RegattaPair {
  readonly key: Buffer;
  readonly value: Buffer;
}

export class RegattaRecords {
  private left: Buffer = Buffer.alloc(0);
  private closed = false;

  /** @param name what is read, for errors */
  constructor(private readonly name: string) {}

  /** Pairs that are complete with these bytes. */
  *push(plain: Buffer): Generator<RegattaPair, void, undefined> {
    const bytes = this.left.length === 0 ? plain : Buffer.concat([this.left, plain]);
    let at = 0;
    while (bytes.length - at >= LENGTH_BYTES) {
      const length = bytes.readBigUInt64LE(at);
      if (length > BigInt(REGATTA_RECORD_BYTES_MAX)) {
        throw damaged(this.name, `a record of ${length} bytes`);
      }
      const end = at + LENGTH_BYTES + Number(length);
      if (end > bytes.length) break;
      const pair = this.pairOf(bytes.subarray(at + LENGTH_BYTES, end));
      at = end;
      if (pair) yield pair;
    }
    // A copy: the rest must not hold on to all that it came with.
    this.left = Buffer.from(bytes.subarray(at));
  }

  end(): void {
    if (this.left.length > 0) throw damaged(this.name, 'it is cut short');
  }

  private pairOf(record: Buffer): RegattaPair | undefined {
    if (this.closed) throw damaged(this.name, 'a record follows the closing one');
    const { type, kv } = decode(record, this.name);
    if (type === PUT && kv) return { key: kv.key, value: kv.value };
    if (type !== DUMMY) throw damaged(this.name, `it holds a command of type ${type}`);
    this.closed = true;
    return undefined;
  }
}

function decode(record: Buffer, name: string): mvccV1.Command {
  try {
    return mvccV1.Command.decode(record);
  } catch (error) {
    throw damaged(name, 'a record cannot be decoded', error);
  }
}
