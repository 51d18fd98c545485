/**
 * Whether a request that speaks of a shadow may be done at all. What is wrong is refused here with the name
 * of the field: an entry that no replica could apply would end all of them.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { faultOfBatch, NOTHING_FILLED } from '@flotilla/mvcc';
import { hot, mvccV1, type shadowV1 } from '@flotilla/proto';
import { type TableSource } from '../catalog/catalog-rows.js';
import { longestPut } from '../follower/replicated-batch.js';
import { invalid, malformed } from '../kv/errors.js';
import { KEY_BYTES_MAX } from '../kv/limits.js';
import { whyNameInvalid } from '../tables/table-name.js';
import {
  FILL_BYTES_MAX,
  FILL_COMMANDS_MAX,
  NOTE_BYTES_MAX,
  PURPOSE_BYTES_MAX,
} from './shadow-limits.js';

/** Larger numbers are no ids, revisions or tokens. */
const NUMBER_MAX = BigInt(Number.MAX_SAFE_INTEGER);

export interface BeginWanted {
  readonly table: string;
  readonly purpose: string;
  readonly source: TableSource | undefined;
  readonly replace: boolean;
}

export function checkedBegin(
  { table, purpose, source, replace }: shadowV1.BeginShadowRequest,
  isFollower: boolean,
): BeginWanted {
  checkName(table);
  if (purpose === '') throw invalid('purpose must be set');
  if (Buffer.byteLength(purpose) > PURPOSE_BYTES_MAX) {
    throw invalid(`purpose must be at most ${PURPOSE_BYTES_MAX} bytes long`);
  }
  if (isFollower && !source) {
    throw refused('source must be set: a follower cluster holds copies alone');
  }
  if (!isFollower && source)
    throw refused('source must not be set: a leader cluster has no copies');
  if (!source) return { table, purpose, source: undefined, replace };
  const [tableId, epoch] = [
    numberOf(source.tableId, 'source.table_id'),
    numberOf(source.epoch, 'source.epoch'),
  ];
  return { table, purpose, source: { tableId, epoch }, replace };
}

/** A Fill as its entry holds it. */
export type FillWanted = Omit<hot.ReceivedFill, 'commands'> & {
  readonly commands: mvccV1.Command[];
  readonly rowCount: number;
  /** The newest revision of its rows. */
  readonly newestRow: number;
};

/** Refuses each row that is wrong as soon as it is read. */
export function checkedFill(bytes: Buffer): FillWanted {
  if (bytes.length > FILL_BYTES_MAX) {
    throw invalid(`a Fill must be at most ${FILL_BYTES_MAX} bytes long`);
  }
  let newestRow = 0;
  const look: hot.RowLook = (row, at) => {
    checkRow(row, at);
    if (row.modRevision > newestRow) newestRow = row.modRevision;
  };
  const request = decodedFill(bytes, look);
  checkIds(request);
  if (numberOf(request.batch, 'batch') === 0) throw invalid('batch must be 1 or larger');
  if (request.note.length > NOTE_BYTES_MAX) {
    throw invalid(`note must be at most ${NOTE_BYTES_MAX} bytes long`);
  }
  const rowCount = request.rows.count;
  const commands = checkedCommands(request.commands, rowCount, newestRow);
  return { ...request, commands, rowCount, newestRow };
}

function decodedFill(bytes: Buffer, look: hot.RowLook): hot.ReceivedFill {
  try {
    return hot.decodeFillRequest(bytes, look);
  } catch (error) {
    throw error instanceof GrpcStatusError ? error : malformed(error);
  }
}

function checkRow(row: Readonly<hot.FillRowFigures>, at: number): void {
  const { keyBytes, createRevision, modRevision, version } = row;
  if (keyBytes > KEY_BYTES_MAX) throw invalid(`rows[${at}].key is too long`);
  if (createRevision < 1) throw invalid(`rows[${at}].create_revision must be 1 or larger`);
  if (modRevision < createRevision) {
    throw invalid(`rows[${at}].mod_revision must not be below create_revision`);
  }
  if (version < 1) throw invalid(`rows[${at}].version must be 1 or larger`);
  if (modRevision > Number.MAX_SAFE_INTEGER) {
    throw invalid(`rows[${at}].mod_revision is too large`);
  }
  if (version > Number.MAX_SAFE_INTEGER) throw invalid(`rows[${at}].version is too large`);
}

/** What can be said of them whatever the table holds; the rest is found where they are applied. */
function checkedCommands(
  commands: readonly Buffer[],
  rowCount: number,
  newestRow: number,
): mvccV1.Command[] {
  const decoded = commands.map(decodedCommand);
  const count = decoded.reduce((sum, { sequence }) => sum + 1 + sequence.length, 0);
  if (count > FILL_COMMANDS_MAX) {
    throw invalid(`commands must be at most ${FILL_COMMANDS_MAX}, got ${count}`);
  }
  const fault = faultOfBatch(NOTHING_FILLED, { rowCount, newestRow, commands: decoded });
  if (fault) throw invalid(fault.text);
  decoded.forEach((command, at) => {
    const longest = Math.max(longestPut(command), ...command.sequence.map(longestPut));
    if (longest > KEY_BYTES_MAX) throw invalid(`commands[${at}]: a key is too long`);
  });
  return decoded;
}

function decodedCommand(bytes: Buffer, at: number): mvccV1.Command {
  try {
    return mvccV1.Command.decode(bytes);
  } catch (cause) {
    const text = `commands[${at}] is not a command`;
    throw new GrpcStatusError(status.INVALID_ARGUMENT, text, undefined, { cause });
  }
}

export function checkComplete(request: shadowV1.CompleteShadowRequest): void {
  checkName(request.table);
  checkIds(request);
  numberOf(request.replacesTableId, 'replaces_table_id');
  numberOf(request.revision, 'revision');
}

export function checkDrop(request: shadowV1.DropShadowRequest): void {
  checkName(request.table);
  checkIds(request);
}

function checkIds({ tableId, token }: { readonly tableId: bigint; readonly token: bigint }): void {
  if (numberOf(tableId, 'table_id') === 0) throw invalid('table_id must be set');
  if (numberOf(token, 'token') === 0) throw invalid('token must be set');
}

function checkName(name: string): void {
  const reason = whyNameInvalid(name);
  if (reason) throw invalid(reason.replace(/^name/, 'table'));
}

function numberOf(value: bigint, field: string): number {
  if (value > NUMBER_MAX) throw invalid(`${field} is too large`);
  return Number(value);
}

export function refused(text: string): GrpcStatusError {
  return new GrpcStatusError(status.FAILED_PRECONDITION, text);
}
