/** A server under test, by itself in its file: no other transport has to answer like that. */
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { createNativeServer } from '../../src/native/server.js';
import { type ConnectionLimits } from '../../src/native/server-limits.js';
import { type GrpcServer, type GrpcServerOptions } from '../../src/transport.js';
import { recordingLogger, registerEcho } from '../echo-service.js';
import { END_HEADERS, message, post, RawConnection } from './raw-connection.js';

export interface Native {
  server: GrpcServer;
  port: number;
}

export async function startNative(
  options: Partial<GrpcServerOptions> = {},
  limits: Partial<ConnectionLimits> = {},
  prepare: (server: GrpcServer) => void = registerEcho,
): Promise<Native> {
  const server = createNativeServer(
    { logger: recordingLogger(), keepaliveMinTimeMs: 0, ...options },
    limits,
  );
  prepare(server);
  const bound = await server.listen('http://127.0.0.1:0');
  return { server, port: bound.port ?? 0 };
}

/** One that is closed when the test is over. */
export async function startForTest(
  options: Partial<GrpcServerOptions> = {},
  limits: Partial<ConnectionLimits> = {},
  prepare: (server: GrpcServer) => void = registerEcho,
): Promise<Native> {
  const native = await startNative(options, limits, prepare);
  onTestFinished(async () => {
    await native.server.close();
  });
  return native;
}

/** One for all tests of a file. */
export function sharedServer(): () => Native {
  let native: Native | undefined;
  beforeAll(async () => {
    native = await startNative();
  });
  afterAll(async () => {
    await native?.server.close();
  });
  return () => {
    if (native === undefined) throw new Error('the server has not been started');
    return native;
  };
}

/** A unary call on a connection of its own, and whether it was answered as it has to be. */
export async function innocent(port: number): Promise<() => Promise<string>> {
  const connection = await RawConnection.open(port);
  let id = -1;
  return async () => {
    id += 2;
    connection.headers(id, post('/test.v1.Echo/Unary'), END_HEADERS);
    connection.send(0, 1, id, message(Buffer.from('innocent')));
    await connection.answer(id);
    const { payload } = await connection.on(id, 0);
    const trailers = await connection.answer(id);
    return `${payload.subarray(5).toString()} ${trailers['grpc-status']}`;
  };
}
