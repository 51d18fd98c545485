/**
 * Batches of rows on their way into a table that is filled out of sight: `FillShadowRequest` from the one
 * who fills to the node, and the `mvcc.v1.Command` that it becomes in the log.
 *
 *   rows --> request --(each row is looked at)--> request whose rows are bytes still
 *                         --(one copy)--> command --> rows that are views of it
 *
 * In: rows as they are. Out: one buffer of the exact size; and back again, with bytes fields that are views
 * of the input. What a quick reader does not fully understand is left to the generated one, never guessed
 * at.
 */
import { FillShadowRequest } from '../generated/flotilla/tables/v1/shadow.js';
import { Command, Command_CommandType, type Fill } from '../generated/mvcc/v1/mvcc.js';
import { type FeedRow, type ReceivedRow, rowBytes, writeRow } from './feed-codecs.js';
import {
  COMMAND_ROW_TAG,
  type FillRows,
  NO_ROWS,
  passRows,
  readCommandRow,
  REQUEST_ROW_TAG,
  type RowLook,
  writeCommandRows,
} from './fill-rows.js';
import { NO_BYTES, WireReader } from './wire-reader.js';
import {
  dataBytes,
  filled,
  int64Bytes,
  nestedBytes,
  numberBytes,
  varintBytes,
  writeData,
  writeInt64,
  writeNumber,
  writePresentData,
  writeVarint,
} from './wire-writer.js';

export interface FillRequestFields {
  readonly tableId: number;
  readonly token: number;
  readonly batch: number;
  readonly rows: readonly FeedRow[];
  readonly note: Uint8Array;
  /** Encoded `mvcc.v1.Command` messages. */
  readonly commands: readonly Uint8Array[];
}

/** A request as it came. */
export interface ReceivedFill extends Omit<FillShadowRequest, 'rows'> {
  readonly rows: FillRows;
}

export interface FillCommandFields extends Omit<Fill, 'rows'> {
  readonly rows: FillRows;
}

/** The batch of a command. */
export interface ReceivedBatch extends Omit<Fill, 'rows'> {
  readonly rows: readonly ReceivedRow[];
}

const { SEQUENCE } = Command_CommandType;
/** Field 101 of a `Command`; its tag takes two bytes. */
const FILL_TAG = (101 << 3) | 2;
const TYPE_TAG = 0x10;
const COMMAND_TAG = 0x2a;

export function encodeFillRequest(fields: FillRequestFields): Buffer {
  const { tableId, token, batch, rows, note, commands } = fields;
  let size = numberBytes(tableId) + numberBytes(token) + numberBytes(batch) + dataBytes(note);
  for (const row of rows) size += nestedBytes(rowBytes(row));
  for (const command of commands) size += nestedBytes(command.length);
  const out = Buffer.allocUnsafe(size);
  let at = writeNumber(out, 0, 0x08, tableId);
  at = writeNumber(out, at, 0x10, token);
  at = writeNumber(out, at, 0x18, batch);
  for (const row of rows) at = writeRow(out, at, REQUEST_ROW_TAG, row);
  at = writeData(out, at, 0x2a, note);
  for (const command of commands) at = writePresentData(out, at, 0x32, command);
  return filled(out, at);
}

/** Throws what `look` throws, and what the generated reader says of bytes that are no request. */
export function decodeFillRequest(bytes: Buffer, look: RowLook): ReceivedFill {
  return readQuickly(bytes, look) ?? readSlowly(bytes, look);
}

/** A SEQUENCE without members that holds the batch. */
export function encodeFillCommand(fill: FillCommandFields): Buffer {
  const { token, batch, rows, note } = fill;
  const commands = fill.commands.map((command) => Command.encode(command).finish());
  let content = int64Bytes(token) + int64Bytes(batch) + rows.bytes.length + dataBytes(note);
  for (const command of commands) content += nestedBytes(command.length);
  const head = numberBytes(SEQUENCE) + varintBytes(FILL_TAG) + varintBytes(content);
  const out = Buffer.allocUnsafe(head + content);
  let at = writeNumber(out, 0, TYPE_TAG, SEQUENCE);
  at = writeVarint(out, at, FILL_TAG);
  at = writeVarint(out, at, content);
  at = writeInt64(out, at, 0x08, token);
  at = writeInt64(out, at, 0x10, batch);
  at = writeCommandRows(out, at, rows);
  at = writeData(out, at, 0x22, note);
  for (const command of commands) at = writePresentData(out, at, COMMAND_TAG, command);
  return filled(out, at);
}

/** Undefined for every command that is not just a batch, and for what is unusual. */
export function decodeFillCommand(bytes: Buffer): ReceivedBatch | undefined {
  if (bytes[0] !== TYPE_TAG || bytes[1] !== SEQUENCE) return undefined;
  const reader = new WireReader(bytes);
  reader.at = 2;
  try {
    if (reader.uint32() !== FILL_TAG || reader.nestedEnd() !== bytes.length) return undefined;
    return readBatch(reader);
  } catch {
    // Whatever it is, the generated reader has the word on it.
    return undefined;
  }
}

function readQuickly(bytes: Buffer, look: RowLook): ReceivedFill | undefined {
  const reader = new WireReader(bytes);
  const fields = { tableId: 0n, token: 0n, batch: 0n, note: NO_BYTES };
  const commands: Buffer[] = [];
  let rows: FillRows = NO_ROWS;
  try {
    while (reader.at < reader.end) {
      if (bytes[reader.at] === REQUEST_ROW_TAG) {
        const passed = rows === NO_ROWS ? passRows(bytes, reader, look) : undefined;
        if (!passed) return undefined;
        rows = passed;
        continue;
      }
      const tag = reader.uint32();
      if (tag === 0x08) fields.tableId = uint64(reader);
      else if (tag === 0x10) fields.token = uint64(reader);
      else if (tag === 0x18) fields.batch = uint64(reader);
      else if (tag === 0x2a) fields.note = reader.view();
      else if (tag === 0x32) commands.push(reader.view());
      else return undefined;
    }
  } catch {
    // Whatever it is, the generated reader finds it too, or whoever looks.
    return undefined;
  }
  return { ...fields, commands, rows };
}

/** The same of what is unusual: rows that are not all in one place, fields that are not known. */
function readSlowly(bytes: Buffer, look: RowLook): ReceivedFill {
  const { rows, ...fields } = FillShadowRequest.decode(bytes);
  rows.forEach(({ key, createRevision, modRevision, version }, at) => {
    const revisions = { createRevision: Number(createRevision), modRevision: Number(modRevision) };
    look({ keyBytes: key.length, ...revisions, version: Number(version) }, at);
  });
  const only = FillShadowRequest.encode(FillShadowRequest.fromPartial({ rows })).finish();
  return { ...fields, rows: { bytes: Buffer.from(only), count: rows.length } };
}

function readBatch(reader: WireReader): ReceivedBatch | undefined {
  const rows: ReceivedRow[] = [];
  const fill = { token: 0n, batch: 0n, note: NO_BYTES, commands: [] as Command[] };
  while (reader.at < reader.end) {
    const tag = reader.uint32();
    if (tag === 0x08) fill.token = uint64(reader);
    else if (tag === 0x10) fill.batch = uint64(reader);
    else if (tag === 0x22) fill.note = reader.view();
    else if (tag === COMMAND_TAG) fill.commands.push(Command.decode(reader.view()));
    else if (tag === COMMAND_ROW_TAG) {
      const row = readCommandRow(reader);
      if (!row) return undefined;
      rows.push(row);
    } else return undefined;
  }
  return { ...fill, rows };
}

function uint64(reader: WireReader): bigint {
  const value = reader.int64();
  return value < 0n ? BigInt.asUintN(64, value) : value;
}
