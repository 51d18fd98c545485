/**
 * The server and the client that this run of the conformance tests is about: all of them run with
 * each, every pair as a project of its own (`vitest.config.mjs`).
 */
import { type GrpcClient, type GrpcClientOptions } from '../src/client.js';
import { createGrpcClient } from '../src/create-client.js';
import { type GrpcServer, type GrpcServerOptions } from '../src/transport.js';
import { createGrpcServer, type GrpcTransport } from '../src/transports.js';

export const TRANSPORT: GrpcTransport =
  process.env['TRANSPORT_UNDER_TEST'] === 'grpc-js' ? 'grpc-js' : 'native';

export function createTestServer(options: GrpcServerOptions): GrpcServer {
  return createGrpcServer(TRANSPORT, options);
}

export const CLIENT_TRANSPORT =
  process.env['CLIENT_UNDER_TEST'] === 'grpc-js' ? 'grpc-js' : 'native';

export function createTestClient(
  address: string | readonly string[],
  options: GrpcClientOptions = {},
): GrpcClient {
  return createGrpcClient(address, { transport: CLIENT_TRANSPORT, ...options });
}
