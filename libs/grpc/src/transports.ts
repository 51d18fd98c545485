/**
 * The two transports of this library, by the name that settings give them.
 */
import { createGrpcJsServer } from './grpc-js/server.js';
import { createNativeServer } from './native/server.js';
import { type GrpcServer, type GrpcServerOptions } from './transport.js';

/** `native` is this library's own HTTP/2; `grpc-js` is slower, and independent of it. */
export const GRPC_TRANSPORTS = ['native', 'grpc-js'] as const;
export type GrpcTransport = (typeof GRPC_TRANSPORTS)[number];

export function createGrpcServer(transport: GrpcTransport, options: GrpcServerOptions): GrpcServer {
  return transport === 'native' ? createNativeServer(options) : createGrpcJsServer(options);
}
