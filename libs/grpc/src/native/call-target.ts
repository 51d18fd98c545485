/**
 * Where a request goes: its method, and how its messages are packed; or why it goes nowhere.
 *
 * In: the head of a request. Out: a target, or a status, or an answer of HTTP. Both depend on nothing
 * but the head and the registrations, so they are kept with heads that come again.
 */
import { type MessageEncoding } from '../encoding/encoding.js';
import { answerEncoding, findEncoding } from '../encoding/registry.js';
import { identity } from '../encoding/identity.js';
import { type MethodTable, type RegisteredMethod } from '../server/method-table.js';
import { GrpcStatusError, status } from '../status.js';
import { type UnaryHandler } from '../transport.js';
import { type RequestHead } from './request-head.js';

export interface CallTarget {
  readonly method: RegisteredMethod;
  readonly requestEncoding: MessageEncoding;
  readonly answerEncoding: MessageEncoding;
  /** The handler of a unary method. */
  readonly handleUnary: UnaryHandler | undefined;
  /** The client may send any number of messages. */
  readonly isStreaming: boolean;
  /** A unary method without guards whose messages are plain: such a call needs no `ServerCall`. */
  readonly isPlainUnary: boolean;
}

/** A number is a status of HTTP. */
export type Resolution = CallTarget | GrpcStatusError | number;

const METHOD_NOT_ALLOWED = 405;
const UNSUPPORTED_MEDIA_TYPE = 415;

export function resolveCall(head: RequestHead, table: MethodTable): Resolution {
  if (head.method !== 'POST') return METHOD_NOT_ALLOWED;
  if (head.contentType === undefined || !isGrpc(head.contentType)) return UNSUPPORTED_MEDIA_TYPE;
  const method = table.find(head.path);
  if (method === undefined) return table.unknown(head.path);
  const requestEncoding = findEncoding(head.encoding);
  if (requestEncoding === undefined) {
    const words = `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(head.encoding)}`;
    return new GrpcStatusError(status.UNIMPLEMENTED, words);
  }
  const { packing } = method;
  const answers = answerEncoding(requestEncoding, head.acceptEncoding, packing?.encodings);
  const { handler, guards } = method;
  const handleUnary = handler.kind === 'unary' ? handler.handle : undefined;
  const isPlain = requestEncoding === identity && answers === identity;
  return {
    method,
    requestEncoding,
    answerEncoding: answers,
    handleUnary,
    isStreaming: handler.kind === 'client-stream' || handler.kind === 'bidi',
    isPlainUnary: handleUnary !== undefined && guards.length === 0 && isPlain,
  };
}

function isGrpc(contentType: string): boolean {
  return contentType.startsWith('application/grpc');
}
