/**
 * What an error means for the puller that met it: by which side it came from, and what that side
 * says.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { OtherTableError } from './link/other-table-error.js';
import { type Failure } from './puller-machine.js';

/** Of a poll, or of a snapshot. What is no status came up while its messages were read. */
export function leaderFailure(error: unknown): Failure {
  if (error instanceof OtherTableError) return 'table-missing';
  if (!(error instanceof GrpcStatusError)) return 'log-garbled';
  switch (error.code) {
    case status.NOT_FOUND:
      return 'table-missing';
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
    case status.CANCELLED:
      return 'leader-unavailable';
    default:
      return 'leader-error';
  }
}

export type CopyFailure = Extract<Failure, 'copy-in-doubt' | 'copy-refused'> | 'copy-gone';

/** Of a batch, or of a question where the copy stands. */
export function copyFailure(error: unknown): CopyFailure {
  if (!(error instanceof GrpcStatusError)) return 'copy-in-doubt';
  switch (error.code) {
    case status.NOT_FOUND:
    case status.FAILED_PRECONDITION:
      return 'copy-gone';
    case status.INVALID_ARGUMENT:
    case status.RESOURCE_EXHAUSTED:
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
    case status.UNIMPLEMENTED:
      return 'copy-refused';
    default:
      return 'copy-in-doubt';
  }
}

export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
