/**
 * `min-revision` in the metadata of a read: the revision of the leader cluster that it must show.
 *
 * In: the call's metadata. Out: the number, 0 where none is asked for, or InvalidArgument that names the
 * field. A revision that cannot be a revision must never be taken for none.
 */
import { GrpcStatusError, status, type ReceivedMetadata } from '@flotilla/grpc';

export const MIN_REVISION = 'min-revision';

export function minRevisionOf(metadata: ReceivedMetadata): number {
  const given = metadata.getAll(MIN_REVISION);
  if (given.length === 0) return 0;
  const [text] = given;
  const isNumber = given.length === 1 && typeof text === 'string' && /^\d{1,16}$/.test(text);
  const revision = isNumber ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(revision)) return revision;
  const shown = given.map(String).join(', ').slice(0, 64);
  const reason = `must be one number from 0 to ${Number.MAX_SAFE_INTEGER}, got "${shown}"`;
  throw new GrpcStatusError(status.INVALID_ARGUMENT, `${MIN_REVISION} ${reason}`);
}

/** The copy did not get there before the caller's deadline. */
export function notHereInTime(wanted: number, found: number | undefined): GrpcStatusError {
  const at = found === undefined ? 'there is no copy here yet' : `the copy is at revision ${found}`;
  const text = `${MIN_REVISION} ${wanted} was not reached in time: ${at}`;
  return new GrpcStatusError(status.DEADLINE_EXCEEDED, text);
}
