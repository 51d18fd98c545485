/**
 * The test service: its definition by proto-loader, handlers over bytes, a client of grpc-js.
 *
 * Gives a server that is closed by itself when the test ends. Must never share a server between tests.
 */
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { createTestServer } from './transport-under-test.js';
import {
  type GrpcLogger,
  type GrpcServer,
  type GrpcServerOptions,
  type ListenOptions,
} from '../src/transport.js';

export const PROTO_FILE = fileURLToPath(new URL('./echo.proto', import.meta.url));

export interface Message {
  payload: Buffer;
  count?: number;
  number?: number;
}

interface Codec {
  path: string;
  requestSerialize(message: object): Buffer;
  requestDeserialize(bytes: Buffer): Message;
  responseSerialize(message: object): Buffer;
  responseDeserialize(bytes: Buffer): Message;
}

const definition = loadSync(PROTO_FILE, { defaults: true });
export const echo = definition['test.v1.Echo'] as unknown as Record<
  'Unary' | 'Expand' | 'Collect' | 'Chat',
  Codec
>;

export const PATH = {
  unary: '/test.v1.Echo/Unary',
  expand: '/test.v1.Echo/Expand',
  collect: '/test.v1.Echo/Collect',
  chat: '/test.v1.Echo/Chat',
} as const;

export interface LogLine {
  level: 'error' | 'warn' | 'info';
  fields: Record<string, unknown>;
  message: string;
}

export function recordingLogger(): GrpcLogger & { lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: LogLine['level']) => (fields: Record<string, unknown>, message: string) => {
    lines.push({ level, fields, message });
  };
  return { lines, error: at('error'), warn: at('warn'), info: at('info') };
}

/** Registers handlers that work on bytes and know the messages only by their codecs. */
export function registerEcho(server: GrpcServer): void {
  server.register(PATH.unary, 'unary', (request) => request);
  server.register(PATH.expand, 'server-stream', async (request, _call, sink) => {
    const { payload, count = 0 } = echo.Expand.requestDeserialize(request);
    for (let number = 0; number < count; number += 1) {
      await sink.write(echo.Expand.responseSerialize({ payload, number }));
    }
  });
  server.register(PATH.collect, 'client-stream', async (requests) => {
    const parts: Buffer[] = [];
    for await (const request of requests) {
      parts.push(echo.Collect.requestDeserialize(request).payload);
    }
    return echo.Collect.responseSerialize({ payload: Buffer.concat(parts), number: parts.length });
  });
  server.register(PATH.chat, 'bidi', async (requests, _call, sink) => {
    for await (const request of requests) {
      await sink.write(request);
    }
  });
}

export interface Running {
  server: GrpcServer;
  url: string;
  port: number;
  logger: ReturnType<typeof recordingLogger>;
}

/** A server on a free port, or where `address` says, closed when the test is over. */
export async function startServer(
  options: Partial<GrpcServerOptions> = {},
  address = 'http://127.0.0.1:0',
  listen?: ListenOptions,
  prepare: (server: GrpcServer) => void = registerEcho,
): Promise<Running> {
  const logger = recordingLogger();
  const server = createTestServer({ logger, ...options });
  prepare(server);
  const bound = await server.listen(address, listen);
  onTestFinished(async () => {
    await server.close();
  });
  return { server, url: bound.url, port: bound.port ?? 0, logger };
}

/** A folder that is removed when the test is over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'grpc-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface EchoClient extends grpc.Client {
  unary(
    request: object,
    callback: (error: grpc.ServiceError | null, reply: Message) => void,
  ): grpc.ClientUnaryCall;
  expand(request: object): grpc.ClientReadableStream<Message>;
  collect(
    callback: (error: grpc.ServiceError | null, reply: Message) => void,
  ): grpc.ClientWritableStream<object>;
  chat(): grpc.ClientDuplexStream<object, Message>;
}

/** The client that grpc-js makes from the proto file, knowing nothing of this library. */
export function echoClient(
  target: string,
  credentials = grpc.credentials.createInsecure(),
  options: grpc.ClientOptions = {},
): EchoClient {
  const { test } = grpc.loadPackageDefinition(definition) as unknown as {
    test: { v1: { Echo: new (...parameters: unknown[]) => EchoClient } };
  };
  const client = new test.v1.Echo(target, credentials, options);
  onTestFinished(() => client.close());
  return client;
}

export function unary(client: EchoClient, request: object): Promise<Message> {
  return new Promise((resolve, reject) => {
    client.unary(request, (error, reply) => {
      if (error === null) {
        resolve(reply);
      } else {
        reject(error);
      }
    });
  });
}
