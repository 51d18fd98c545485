/**
 * Change rows: what the writes of one applied batch changed, and the versions that they superseded
 * (docs/formats/table-rows.md).
 *
 * In: changes in the order of revision and key. Out: rows of bounded size, and back, change by change.
 * A change is never cut in two, and one that cannot have been written must never be read: it throws.
 *
 *   row     format 1 | superseded versions so far 8 | change ...
 *   change  flags 1 | [revision] | key length | key | [superseded version]
 */
import { FORMAT, Version } from './row-codec.js';
import {
  damaged,
  readUint64,
  VARINT_BYTES_MAX,
  VarintReader,
  writeUint64,
  writeVarint,
} from './varint.js';

/** The key was put; otherwise it was deleted. */
const PUT = 1;
/** A version was superseded, and follows. */
const SUPERSEDES = 2;
/** The first change of a revision in the row: its number follows. */
const BEGINS = 4;

const HEAD_BYTES = 1 + 8;
/** Everything of a change but its key and value: flags, revision, two lengths and five numbers. */
const CHANGE_HEAD_BYTES_MAX = 1 + 8 * VARINT_BYTES_MAX;
const ROOM_BYTES_MIN = 512;

/** A row ends before a change that might make it longer; one change alone may be longer. */
export const CHANGE_ROW_BYTES_MAX = 64 * 1024;

const EMPTY = Buffer.alloc(0);

/** Where a row lies: its epoch, the last revision in it, and its number among those that end there. */
export interface ChangeRowPlace {
  readonly epoch: number;
  readonly revision: number;
  readonly chunk: number;
}

/** Gathers the changes of one batch in one buffer, which each row is given from. */
export class ChangeRowWriter {
  private bytes: Buffer = EMPTY;
  private at = HEAD_BYTES;
  private epoch = 0;
  /** Of the change before in this row; 0 if there is none. */
  private revision = 0;
  private total = 0;
  private last: ChangeRowPlace | undefined;

  constructor(
    /** Takes a row; its bytes are written over afterwards. */
    private readonly emit: (place: ChangeRowPlace, row: Buffer) => void,
    /** A guess of how much comes. */
    private readonly bytesHint = 0,
  ) {}

  /** `total` counts every version superseded in the table's life, with this one. */
  add(
    epoch: number,
    revision: number,
    change: { key: Buffer; isPut: boolean; superseded: Version | undefined; total: number },
  ): void {
    const { key, superseded } = change;
    const valueBytes = superseded === undefined ? 0 : superseded.value.length;
    const bytesMax = CHANGE_HEAD_BYTES_MAX + key.length + valueBytes;
    if (this.at > HEAD_BYTES) {
      if (epoch !== this.epoch || this.at + bytesMax > CHANGE_ROW_BYTES_MAX) this.flush();
    }
    if (this.at + bytesMax > this.bytes.length) this.grow(bytesMax);
    this.epoch = epoch;
    this.total = change.total;
    const begins = revision !== this.revision;
    const flags =
      (change.isPut ? PUT : 0) |
      (superseded === undefined ? 0 : SUPERSEDES) |
      (begins ? BEGINS : 0);
    const { bytes } = this;
    bytes[this.at] = flags;
    let at = this.at + 1;
    if (begins) at = writeVarint(bytes, at, revision - this.revision);
    this.revision = revision;
    at = writeVarint(bytes, at, key.length);
    bytes.set(key, at);
    at += key.length;
    this.at = superseded === undefined ? at : writeSuperseded(bytes, at, superseded);
  }

  /** Gives what is left. */
  flush(): void {
    if (this.at === HEAD_BYTES) return;
    const { bytes, epoch, revision, last } = this;
    bytes[0] = FORMAT;
    writeUint64(bytes, 1, this.total);
    const goesOn = last?.revision === revision && last.epoch === epoch;
    const place = { epoch, revision, chunk: goesOn ? last.chunk + 1 : 0 };
    this.emit(place, bytes.subarray(0, this.at));
    this.last = place;
    this.revision = 0;
    this.at = HEAD_BYTES;
  }

  private grow(bytesMax: number): void {
    const hint = Math.min(Math.max(this.bytesHint, ROOM_BYTES_MIN), CHANGE_ROW_BYTES_MAX);
    const larger = Buffer.allocUnsafe(Math.max(this.at + bytesMax, this.bytes.length * 2, hint));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
  }
}

function writeSuperseded(target: Buffer, start: number, row: Version): number {
  let at = writeVarint(target, start, row.createRevision);
  at = writeVarint(target, at, row.modRevision);
  at = writeVarint(target, at, row.version);
  at = writeVarint(target, at, row.lease);
  at = writeVarint(target, at, row.epoch);
  at = writeVarint(target, at, row.value.length);
  target.set(row.value, at);
  return at + row.value.length;
}

/** How many versions were superseded up to the end of a row, in the table's life. */
export function supersededTotalOf(row: Buffer): number {
  if (row[0] !== FORMAT) throw damaged(`a change row has format ${row[0] ?? 'none'}`);
  if (row.length <= HEAD_BYTES) throw damaged('a change row without a change');
  return readUint64(row, 1);
}

/** Reads the changes of a row one after the other; the fields are those of the one read last. */
export class ChangeRowReader {
  readonly supersededTotal: number;
  revision = 0;
  isPut = false;
  hasSuperseded = false;
  private readonly reader: VarintReader;
  private keyStart = 0;
  private keyEnd = 0;
  private createRevision = 0;
  private modRevision = 0;
  private version = 0;
  private lease = 0;
  private epoch = 0;
  private valueStart = 0;

  constructor(private readonly row: Buffer) {
    this.supersededTotal = supersededTotalOf(row);
    this.reader = new VarintReader(row, HEAD_BYTES);
  }

  /** False at the end of the row. */
  next(): boolean {
    const { reader, row } = this;
    if (reader.position >= row.length) return false;
    const flags = reader.next();
    if (flags > (PUT | SUPERSEDES | BEGINS) || (flags & (PUT | SUPERSEDES)) === 0) {
      throw damaged('a change has impossible flags');
    }
    this.isPut = (flags & PUT) !== 0;
    this.hasSuperseded = (flags & SUPERSEDES) !== 0;
    if ((flags & BEGINS) !== 0) this.begin(reader.next());
    else if (this.revision === 0) throw damaged('a change row does not begin with a revision');
    this.keyStart = this.skipBytes();
    this.keyEnd = reader.position;
    if (this.hasSuperseded) this.readSuperseded();
    return true;
  }

  /** A view into the row. */
  key(): Buffer {
    return this.row.subarray(this.keyStart, this.keyEnd);
  }

  /** One character per byte. */
  keyName(): string {
    return this.row.toString('latin1', this.keyStart, this.keyEnd);
  }

  /** Like `Buffer.compare` of its key and another one. */
  compareKey(other: Uint8Array): number {
    return this.row.compare(other, 0, other.length, this.keyStart, this.keyEnd);
  }

  /** What the change superseded; views into the row. Undefined: the key did not exist. */
  superseded(): Version | undefined {
    if (!this.hasSuperseded) return undefined;
    return new Version(
      this.key(),
      this.row.subarray(this.valueStart, this.reader.position),
      this.createRevision,
      this.modRevision,
      this.version,
      this.lease,
      this.epoch,
    );
  }

  private begin(step: number): void {
    this.revision += step;
    if (step === 0 || !Number.isSafeInteger(this.revision)) {
      throw damaged('the revisions of a change row do not ascend');
    }
  }

  private readSuperseded(): void {
    const { reader } = this;
    this.createRevision = reader.next();
    this.modRevision = reader.next();
    this.version = reader.next();
    this.lease = reader.next();
    this.epoch = reader.next();
    this.valueStart = this.skipBytes();
  }

  /** Reads a length and passes so many bytes; returns where they begin. */
  private skipBytes(): number {
    const { reader, row } = this;
    const length = reader.next();
    const start = reader.position;
    if (length > row.length - start)
      throw damaged('a key or a value is longer than its change row');
    reader.position = start + length;
    return start;
  }
}
