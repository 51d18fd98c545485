/**
 * The rows of a batch that fills a table, which lie one behind the other in a request and in the command
 * that it becomes: the same bytes, but for the tag of each.
 *
 * In: a reader before the first row, or a stretch of rows. Out: where they end, with each of them shown to
 * whoever checks; a copy under the other tag; rows as views. What is not written as a Flotilla writes it is
 * told as `undefined`, never guessed at.
 */
import { type ReceivedRow } from './feed-codecs.js';
import { NO_BYTES, WireReader } from './wire-reader.js';
import { copyInto } from './wire-writer.js';

export const REQUEST_ROW_TAG = 0x22;
export const COMMAND_ROW_TAG = 0x1a;

/** A stretch of rows, under the tag that they have in a request. */
export interface FillRows {
  readonly bytes: Buffer;
  readonly count: number;
}

export const NO_ROWS: FillRows = { bytes: NO_BYTES, count: 0 };

/** What a row says of itself; numbers beyond 2^53 - 1 are not exact, but beyond it. */
export interface FillRowFigures {
  keyBytes: number;
  createRevision: number;
  modRevision: number;
  version: number;
}

/**
 * Is shown each row as it is read, in an object that is used again for the next one. Where something unusual
 * follows, it is shown all of them anew, those that it has seen and the rest.
 */
export type RowLook = (row: Readonly<FillRowFigures>, at: number) => void;

/** The rows from here on, up to the first other field; undefined if one of them is unusual. */
export function passRows(bytes: Buffer, reader: WireReader, look: RowLook): FillRows | undefined {
  const from = reader.at;
  const row = { keyBytes: 0, createRevision: 0, modRevision: 0, version: 0 };
  let count = 0;
  while (reader.at < reader.end && bytes[reader.at] === REQUEST_ROW_TAG) {
    reader.at += 1;
    if (!passRow(reader, reader.nestedEnd(), row)) return undefined;
    look(row, count++);
  }
  return { bytes: bytes.subarray(from, reader.at), count };
}

/** Puts the rows where those of a command are; the position behind them. */
export function writeCommandRows(out: Buffer, from: number, rows: FillRows): number {
  const end = copyInto(out, from, rows.bytes);
  const reader = new WireReader(out);
  for (reader.at = from; reader.at < end;) {
    out[reader.at++] = COMMAND_ROW_TAG;
    reader.at = reader.nestedEnd();
  }
  return end;
}

/** The next row of a command, behind its tag; undefined if it is unusual. Throws where a number is too large. */
export function readCommandRow(reader: WireReader): ReceivedRow | undefined {
  const end = reader.nestedEnd();
  let [key, value] = [NO_BYTES, NO_BYTES];
  let [createRevision, modRevision, version] = [0, 0, 0];
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) key = reader.view();
    else if (tag === 0x12) value = reader.view();
    else if (tag === 0x18) createRevision = reader.count();
    else if (tag === 0x20) modRevision = reader.count();
    else if (tag === 0x28) version = reader.count();
    else return undefined;
  }
  return reader.at === end ? { key, value, createRevision, modRevision, version } : undefined;
}

function passRow(reader: WireReader, end: number, row: FillRowFigures): boolean {
  row.keyBytes = row.createRevision = row.modRevision = row.version = 0;
  while (reader.at < end) {
    const tag = reader.uint32();
    if (tag === 0x0a) row.keyBytes = passData(reader);
    else if (tag === 0x12) passData(reader);
    else if (tag === 0x18) row.createRevision = reader.count();
    else if (tag === 0x20) row.modRevision = reader.count();
    else if (tag === 0x28) row.version = reader.count();
    else return false;
  }
  return reader.at === end;
}

/** How long a bytes field is that lies in the buffer as a whole. */
function passData(reader: WireReader): number {
  const length = reader.uint32();
  reader.at += length;
  if (reader.at > reader.end) throw new RangeError('premature EOF');
  return length;
}
