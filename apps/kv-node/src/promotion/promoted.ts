/** What a puller is told that comes too late. */
import { GrpcStatusError, status } from '@flotilla/grpc';

export function promoted(): GrpcStatusError {
  const text = 'promoted: this is a leader cluster now, nothing is pulled into it';
  return new GrpcStatusError(status.FAILED_PRECONDITION, text);
}
