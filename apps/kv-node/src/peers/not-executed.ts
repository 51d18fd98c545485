/**
 * How nodes and clients are told that a failed call certainly changed nothing, so that trying it again
 * cannot do it twice.
 */
import { GrpcStatusError } from '@flotilla/grpc';

/** Trailer of such an error; its value is 1. */
export const NOT_EXECUTED = 'flotilla-not-executed';

export function wasNotExecuted(error: unknown): boolean {
  if (!(error instanceof GrpcStatusError)) return false;
  const value = error.metadata?.[NOT_EXECUTED];
  return value === '1' || (Array.isArray(value) && value[0] === '1');
}
