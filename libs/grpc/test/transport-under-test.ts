/**
 * The transport that this run of the conformance tests is about: both run all of them, each as a
 * project of its own (`vitest.config.mjs`).
 */
import { createGrpcJsServer } from '../src/grpc-js/server.js';
import { createNativeServer } from '../src/native/server.js';
import { type GrpcServer, type GrpcServerOptions } from '../src/transport.js';

export const TRANSPORT = process.env['TRANSPORT_UNDER_TEST'] ?? 'native';

export function createTestServer(options: GrpcServerOptions): GrpcServer {
  return TRANSPORT === 'native' ? createNativeServer(options) : createGrpcJsServer(options);
}
