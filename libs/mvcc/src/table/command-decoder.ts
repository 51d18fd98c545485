/**
 * From the bytes of a log entry to a command.
 *
 * In: an encoded `mvcc.v1.Command`. Out: a plain put, read in place without copying as a batch of rows is,
 * a batch that fills a table with its rows as views, or the decoded message for everything else. A message the quick reader does not fully understand must never be
 * guessed at: the generated decoder reads it from the start.
 */
import { hot, mvccV1 } from '@flotilla/proto';
import { TableError } from './table-error.js';

export interface PutCommand {
  kind: 'put';
  /** Views of the entry's bytes. */
  key: Buffer;
  value: Buffer;
  wantsPrevious: boolean;
  leaderIndex: number | undefined;
}

export interface FillCommand {
  kind: 'fill';
  fill: FillBatch;
}

/** Keys and values are views of the entry's bytes. */
export interface FillBatch {
  token: number;
  batch: number;
  rows: readonly hot.ReceivedRow[];
  note: Buffer;
  commands: readonly mvccV1.Command[];
}

export interface OtherCommand {
  kind: 'other';
  command: mvccV1.Command;
}

export type DecodedCommand = PutCommand | FillCommand | OtherCommand;

/** Tags of the fields a replicated or local PUT consists of: number << 3 | wire type. */
const TABLE = 0x0a;
const TYPE = 0x10;
const PAIR = 0x1a;
const LEADER_INDEX = 0x28;
const PREV_KVS = 0x48;
const PAIR_KEY = 0x0a;
const PAIR_VALUE = 0x22;

/** Longest varint the quick reader takes: 49 bits, far from where numbers get inexact. */
const VARINT_BYTES_MAX = 7;

const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);
const EMPTY = Buffer.alloc(0);

export function decodeCommand(data: Uint8Array): DecodedCommand {
  const bytes = Buffer.isBuffer(data)
    ? data
    : Buffer.from(data.buffer, data.byteOffset, data.length);
  const put = new QuickReader(bytes).readPut();
  if (put !== undefined) return put;
  const batch = hot.decodeFillCommand(bytes);
  if (batch !== undefined) return { kind: 'fill', fill: { ...batch, ...placeOf(batch) } };
  const command = decoded(bytes);
  if (command.fill === undefined) return { kind: 'other', command };
  const rows = command.fill.rows.map(toRow);
  return { kind: 'fill', fill: { ...command.fill, ...placeOf(command.fill), rows } };
}

function decoded(bytes: Buffer): mvccV1.Command {
  try {
    return mvccV1.Command.decode(bytes);
  } catch (cause) {
    throw new TableError('TABLE_COMMAND_MALFORMED', 'an entry is not a command', { cause });
  }
}

function placeOf({ token, batch }: { readonly token: bigint; readonly batch: bigint }) {
  return { token: safeNumber(token), batch: safeNumber(batch) };
}

function toRow(row: mvccV1.FilledRow): hot.ReceivedRow {
  return {
    key: row.key,
    value: row.value,
    createRevision: safeNumber(row.createRevision),
    modRevision: safeNumber(row.modRevision),
    version: safeNumber(row.version),
  };
}

/** A revision, index or count of the wire as a number. */
export function safeNumber(value: bigint): number {
  if (value > SAFE_MAX) {
    throw new TableError('TABLE_COMMAND_MALFORMED', 'a leader index is out of range');
  }
  return Number(value);
}

class QuickReader {
  private at = 0;
  private failed = false;

  constructor(private readonly bytes: Buffer) {}

  readPut(): PutCommand | undefined {
    const { bytes } = this;
    let pair: { key: Buffer; value: Buffer } | undefined;
    let leaderIndex: number | undefined;
    let wantsPrevious = false;
    while (this.at < bytes.length && !this.failed) {
      switch (bytes[this.at++]) {
        case TABLE:
          this.skipBytes();
          break;
        case TYPE:
          if (this.varint() !== 0) return undefined;
          break;
        case PAIR:
          if (pair !== undefined) return undefined;
          pair = this.readPair();
          break;
        case LEADER_INDEX:
          leaderIndex = this.varint();
          break;
        case PREV_KVS:
          wantsPrevious = this.varint() !== 0;
          break;
        default:
          return undefined;
      }
    }
    if (this.failed || pair === undefined) return undefined;
    return { kind: 'put', key: pair.key, value: pair.value, wantsPrevious, leaderIndex };
  }

  private readPair(): { key: Buffer; value: Buffer } {
    const end = this.endOfBytes();
    let key: Buffer = EMPTY;
    let value: Buffer = EMPTY;
    while (this.at < end && !this.failed) {
      const tag = this.bytes[this.at++];
      if (tag !== PAIR_KEY && tag !== PAIR_VALUE) this.failed = true;
      const fieldEnd = this.endOfBytes();
      if (fieldEnd > end) this.failed = true;
      const field = this.bytes.subarray(this.at, fieldEnd);
      if (tag === PAIR_KEY) key = field;
      else value = field;
      this.at = fieldEnd;
    }
    return { key, value };
  }

  private skipBytes(): void {
    this.at = this.endOfBytes();
  }

  /** Reads a length; the position after that many bytes. */
  private endOfBytes(): number {
    const length = this.varint();
    const end = this.at + length;
    if (end > this.bytes.length) {
      this.failed = true;
      return this.bytes.length;
    }
    return end;
  }

  private varint(): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < VARINT_BYTES_MAX; count += 1) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
    this.failed = true;
    return 0;
  }
}
