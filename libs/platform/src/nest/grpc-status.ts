/**
 * From whatever a Nest controller, guard, pipe or filter throws to the status a gRPC client gets.
 *
 * In: anything thrown. Out: a `GrpcStatusError` where the text was meant for the client; any other
 * error comes back unchanged, for the transport to log and to answer with Internal and no detail.
 */
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import { RpcException } from '@nestjs/microservices';
import { GrpcStatusError, status, type StatusCode, toStatusCode } from '@flotilla/grpc';
import { type Observable, throwError } from 'rxjs';
import { isRecord } from '../config/convert.js';
import { PlatformError } from '../platform-error.js';

/** What Nest's guard machinery says when a guard returns false. */
const FORBIDDEN_TEXT = 'Forbidden resource';

/** Exceptions of Nest's own pipes and guards are HTTP ones, also behind gRPC. */
const CODE_BY_HTTP_STATUS: ReadonlyMap<number, StatusCode> = new Map([
  [400, status.INVALID_ARGUMENT],
  [401, status.UNAUTHENTICATED],
  [403, status.PERMISSION_DENIED],
  [404, status.NOT_FOUND],
  [408, status.DEADLINE_EXCEEDED],
  [409, status.ABORTED],
  [412, status.FAILED_PRECONDITION],
  [413, status.RESOURCE_EXHAUSTED],
  [422, status.INVALID_ARGUMENT],
  [429, status.RESOURCE_EXHAUSTED],
  [501, status.UNIMPLEMENTED],
  [503, status.UNAVAILABLE],
  [504, status.DEADLINE_EXCEEDED],
]);

export function toGrpcStatus(thrown: unknown): Error {
  if (thrown instanceof GrpcStatusError) return thrown;
  if (thrown instanceof RpcException) return fromRpcError(thrown.getError(), thrown);
  if (thrown instanceof HttpException) return fromHttpException(thrown);
  // Nest's default filter turns an RpcException into the plain object that it carried.
  if (isRecord(thrown) && typeof thrown['message'] === 'string')
    return fromRpcError(thrown, thrown);
  if (thrown instanceof Error) return thrown;
  return new PlatformError('GRPC_BINDING', 'something was thrown that is no error', {
    cause: thrown,
  });
}

function fromRpcError(error: string | object, cause: unknown): GrpcStatusError {
  const fields: Readonly<Record<string, unknown>> = isRecord(error) ? error : { message: error };
  const text = fields['message'] ?? fields['details'];
  const message = typeof text === 'string' ? text : '';
  const { code } = fields;
  if (typeof code === 'number') {
    // A status of OK cannot be thrown: it would tell the client that the call went well.
    const known = toStatusCode(code);
    const thrown = known === status.OK ? status.UNKNOWN : known;
    return new GrpcStatusError(thrown, message, undefined, { cause });
  }
  const plain = message === FORBIDDEN_TEXT ? status.PERMISSION_DENIED : status.UNKNOWN;
  return new GrpcStatusError(plain, message, undefined, { cause });
}

function fromHttpException(error: HttpException): Error {
  const code = CODE_BY_HTTP_STATUS.get(error.getStatus());
  if (code === undefined) return error;
  const response: unknown = error.getResponse();
  const details = isRecord(response) ? response['message'] : response;
  const message = Array.isArray(details) ? details.join('; ') : error.message;
  return new GrpcStatusError(code, message, undefined, { cause: error });
}

/** Stands before Nest's default filter, which would hide every status behind one text. */
@Catch()
export class GrpcExceptionFilter implements ExceptionFilter {
  catch(exception: unknown, _host: ArgumentsHost): Observable<never> {
    return throwError(() => toGrpcStatus(exception));
  }
}
