/**
 * Whether a request that speaks of a shadow may be done at all. What is wrong is refused here with the name
 * of the field: an entry that no replica could apply would end all of them.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type shadowV1 } from '@flotilla/proto';
import { type TableSource } from '../catalog/catalog-rows.js';
import { invalid } from '../kv/errors.js';
import { KEY_BYTES_MAX } from '../kv/limits.js';
import { whyNameInvalid } from '../tables/table-name.js';
import { FILL_BYTES_MAX, NOTE_BYTES_MAX, PURPOSE_BYTES_MAX } from './shadow-limits.js';

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

export function checkFill(request: shadowV1.FillShadowRequest, bytes: number): void {
  if (bytes > FILL_BYTES_MAX) throw invalid(`a Fill must be at most ${FILL_BYTES_MAX} bytes long`);
  checkIds(request);
  if (numberOf(request.batch, 'batch') === 0) throw invalid('batch must be 1 or larger');
  if (request.note.length > NOTE_BYTES_MAX) {
    throw invalid(`note must be at most ${NOTE_BYTES_MAX} bytes long`);
  }
  request.rows.forEach(({ key, createRevision, modRevision, version }, at) => {
    const field = `rows[${at}]`;
    if (key.length > KEY_BYTES_MAX) throw invalid(`${field}.key is too long`);
    if (createRevision < 1n) throw invalid(`${field}.create_revision must be 1 or larger`);
    if (modRevision < createRevision) {
      throw invalid(`${field}.mod_revision must not be below create_revision`);
    }
    if (version < 1n) throw invalid(`${field}.version must be 1 or larger`);
    numberOf(modRevision, `${field}.mod_revision`);
    numberOf(version, `${field}.version`);
  });
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
