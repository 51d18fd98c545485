/**
 * The transport that this run of the conformance tests is about: both run all of them, each as a
 * project of its own (`vitest.config.mjs`).
 */
import { type GrpcServer, type GrpcServerOptions } from '../src/transport.js';
import { createGrpcServer, type GrpcTransport } from '../src/transports.js';

export const TRANSPORT: GrpcTransport =
  process.env['TRANSPORT_UNDER_TEST'] === 'grpc-js' ? 'grpc-js' : 'native';

export function createTestServer(options: GrpcServerOptions): GrpcServer {
  return createGrpcServer(TRANSPORT, options);
}
