import 'reflect-metadata';
import { Controller, type INestApplication, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, Payload } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  addHealthService,
  createGrpcClient,
  createGrpcJsServer,
  type GrpcClient,
  type GrpcServer,
  GrpcStatusError,
  status,
} from '@flotilla/grpc';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linkGrpcHealth } from '../health/grpc-health.js';
import { HealthRegistry } from '../health/health-registry.js';
import { createLogger } from '../logging/logger.js';
import { grpcServerMetrics } from '../metrics/grpc-server-metrics.js';
import { grpcControllerMethod } from './grpc-methods.js';
import { connectGrpc, GrpcStrategy } from './grpc-strategy.js';

const JSON_MESSAGE = {
  decode: (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()) as object,
  encode: (message: object) => ({ finish: () => Buffer.from(JSON.stringify(message)) }),
  fromPartial: (message: object) => message,
};

const METHODS = {
  Tables: {
    Create: grpcControllerMethod('/test.Tables/Create', 'unary', JSON_MESSAGE, JSON_MESSAGE),
    List: grpcControllerMethod('/test.Tables/List', 'server-stream', JSON_MESSAGE, JSON_MESSAGE),
  },
};

@Controller()
class TablesController {
  @GrpcMethod('Tables', 'Create')
  create(@Payload() request: { name: string }): object {
    if (request.name === '') throw new GrpcStatusError(status.INVALID_ARGUMENT, 'name must be set');
    if (request.name === 'bug') throw new Error('internal detail');
    return { id: '10001', name: request.name };
  }

  @GrpcMethod('Tables', 'List')
  async *list(@Payload() request: { count: number }): AsyncGenerator<object> {
    for (let index = 0; index < request.count; index += 1) yield { index };
  }
}

@Module({ controllers: [TablesController] })
class TablesModule {}

const bytes = (message: object) => Buffer.from(JSON.stringify(message));
const parsed = (answer: Uint8Array) => JSON.parse(Buffer.from(answer).toString()) as object;

describe('Nest controllers behind the real transport', () => {
  let app: INestApplication;
  let server: GrpcServer;
  let client: GrpcClient;
  const lines: string[] = [];
  const registry = new Registry();
  const health = new HealthRegistry();

  beforeAll(async () => {
    const destination = { write: (line: string) => void lines.push(line) };
    const logger = createLogger({ service: 'test', level: 'DEBUG', pretty: false, destination });
    server = createGrpcJsServer({ logger });
    const metrics = grpcServerMetrics(registry);
    server.observe(metrics);
    linkGrpcHealth(health, addHealthService(server), ['test.Tables']);
    app = await NestFactory.create(TablesModule, new FastifyAdapter(), { logger: false });
    connectGrpc(app, new GrpcStrategy(server, METHODS));
    await app.init();
    await app.startAllMicroservices();
    metrics.initialize(server.methods());
    const bound = await server.listen('http://127.0.0.1:0');
    client = createGrpcClient(bound.url);
  });
  afterAll(async () => {
    client.close();
    await server.close({ graceMs: 100 });
    await app.close();
  });

  it('a call reaches the controller and its answer the client', async () => {
    const answer = await client.unary('/test.Tables/Create', bytes({ name: 'x' }));
    expect(parsed(answer)).toEqual({ id: '10001', name: 'x' });
  });

  it('a status keeps its code and text, an unexpected error is logged and hidden', async () => {
    const create = (name: string) => client.unary('/test.Tables/Create', bytes({ name }));
    await expect(create('')).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: 'name must be set',
    });
    const failure: unknown = await create('bug').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: status.INTERNAL });
    expect(String(failure)).not.toContain('internal detail');
    expect(lines.join('')).toContain('internal detail');
  });

  it('a server stream arrives whole', async () => {
    const seen: object[] = [];
    for await (const message of client.serverStream('/test.Tables/List', bytes({ count: 500 }))) {
      seen.push(parsed(message));
    }
    expect(seen).toEqual(Array.from({ length: 500 }, (_, index) => ({ index })));
  });

  it('the observer counts what went over the wire, by method and code', async () => {
    const text = await registry.metrics();
    const create = 'grpc_type="unary",grpc_service="test.Tables",grpc_method="Create"';
    const list = 'grpc_type="server_stream",grpc_service="test.Tables",grpc_method="List"';
    expect(text).toContain(`grpc_server_handled_total{${create},grpc_code="OK"} 1`);
    expect(text).toContain(`grpc_server_handled_total{${create},grpc_code="InvalidArgument"} 1`);
    expect(text).toContain(`grpc_server_handled_total{${create},grpc_code="Internal"} 1`);
    expect(text).toContain(`grpc_server_msg_sent_total{${list}} 500`);
    expect(text).toContain(`grpc_server_handling_seconds_count{${create}} 3`);
  });

  it('grpc.health.v1 follows the readiness of the app', async () => {
    // Field 1 of the request is the service's name, field 1 of the answer its status.
    const request = Buffer.from([0x0a, 11, ...Buffer.from('test.Tables')]);
    const check = async () => (await client.unary('/grpc.health.v1.Health/Check', request))[1];
    await health.run('readiness');
    expect(await check()).toBe(1);
    health.drain();
    expect(await check()).toBe(2);
  });
});
