import 'reflect-metadata';
import {
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Controller,
  Injectable,
  type INestApplication,
  Module,
  type NestInterceptor,
  type OnModuleInit,
  UseGuards,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, GrpcMethod, Payload, RpcException } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
  type ServerStreamHandler,
  status,
  type UnaryHandler,
} from '@flotilla/grpc';
import { IsNotEmpty } from 'class-validator';
import { concat, map, type Observable, range, throwError } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PlatformHealthModule } from '../health/health.module.js';
import { HealthRegistry } from '../health/health-registry.js';
import { PlatformMetricsModule } from '../metrics/metrics.module.js';
import { grpcControllerMethod, type GrpcControllerMethods } from './grpc-methods.js';
import { connectGrpc, GrpcStrategy } from './grpc-strategy.js';
import { STREAM_AHEAD_MAX } from './stream-writer.js';

/** Messages as JSON: the strategy does not care how they are encoded. */
const JSON_MESSAGE = {
  decode: (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()) as object,
  encode: (message: object) => ({ finish: () => Buffer.from(JSON.stringify(message)) }),
  fromPartial: (message: object) => ({ filled: true, ...message }),
};

function method(name: string, kind: 'unary' | 'server-stream' = 'unary') {
  return grpcControllerMethod(`/test.Tables/${name}`, kind, JSON_MESSAGE, JSON_MESSAGE);
}

const METHODS: GrpcControllerMethods = {
  Tables: {
    ...Object.fromEntries(
      ['Create', 'Fail', 'Guarded', 'Watched', 'Nothing', 'Unserved'].map((name) => [
        name,
        method(name),
      ]),
    ),
    List: method('List', 'server-stream'),
  },
};

@Injectable()
class Greeter implements OnModuleInit {
  inits = 0;

  onModuleInit(): void {
    this.inits += 1;
  }

  greet(name: string): string {
    return `hello ${name}`;
  }
}

class CreateRequest {
  @IsNotEmpty({ message: 'name must be set' }) readonly name: string = '';
}

@Injectable()
class NoGuard implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

@Injectable()
class Watcher implements NestInterceptor {
  intercept(_context: unknown, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((value: object) => ({ ...value, watched: true })));
  }
}

const FAILURES: Readonly<Record<string, () => unknown>> = {
  status: () => new GrpcStatusError(status.NOT_FOUND, 'table not found'),
  rpc: () => new RpcException({ code: status.FAILED_PRECONDITION, message: 'not now' }),
  rpcText: () => new RpcException('just text'),
  rpcOk: () => new RpcException({ code: status.OK, message: 'odd' }),
  http: () => new BadRequestException('bad'),
  plain: () => new Error('internal detail'),
  observed: () => new GrpcStatusError(status.ABORTED, 'later'),
};

let iterated = 0;

@Controller()
class TablesController {
  constructor(private readonly greeter: Greeter) {}

  @GrpcMethod('Tables', 'Create')
  @UsePipes(new ValidationPipe())
  create(@Payload() request: CreateRequest, @Ctx() call: CallContext): object {
    return { greeting: this.greeter.greet(request.name), path: call.path };
  }

  @GrpcMethod('Tables', 'Fail')
  fail(@Payload() request: { how: string }): Observable<object> {
    const error = FAILURES[request.how]?.();
    if (request.how === 'observed') return throwError(() => error);
    throw error;
  }

  @GrpcMethod('Tables', 'Guarded')
  @UseGuards(NoGuard)
  guarded(): object {
    return {};
  }

  @GrpcMethod('Tables', 'Watched')
  @UseInterceptors(Watcher)
  async watched(): Promise<object> {
    return { value: 1 };
  }

  @GrpcMethod('Tables', 'Nothing')
  nothing(): undefined {
    return undefined;
  }

  @GrpcMethod('Tables', 'List')
  list(@Payload() request: { how: string; count: number }): unknown {
    if (request.how === 'iterable') return iterable(request.count);
    const values = range(0, request.count).pipe(map((value) => ({ value })));
    return request.how === 'failing'
      ? concat(
          values,
          throwError(() => new GrpcStatusError(status.UNAVAILABLE, 'gone')),
        )
      : values;
  }
}

async function* iterable(count: number): AsyncGenerator<object> {
  for (iterated = 0; iterated < count; iterated += 1) yield { value: iterated };
}

@Module({ controllers: [TablesController], providers: [Greeter] })
class TablesModule {}

/** Keeps what is registered, and calls it as a transport would. */
class FakeGrpcServer {
  readonly handlers = new Map<string, { kind: string; handler: unknown }>();

  register(path: string, kind: string, handler: unknown): void {
    this.handlers.set(path, { kind, handler });
  }

  async unary(name: string, request: object): Promise<Record<string, unknown>> {
    const path = `/test.Tables/${name}`;
    const handler = this.handlers.get(path)?.handler as UnaryHandler;
    const answer = await handler(Buffer.from(JSON.stringify(request)), callContext(path).call);
    return JSON.parse(Buffer.from(answer).toString()) as Record<string, unknown>;
  }

  async stream(request: object, sink: MessageSink, call = callContext('').call): Promise<void> {
    const handler = this.handlers.get('/test.Tables/List')?.handler as ServerStreamHandler;
    await handler(Buffer.from(JSON.stringify(request)), call, sink);
  }
}

function callContext(path: string) {
  const abort = new AbortController();
  const call = { path, signal: abort.signal, cancelled: false } as unknown as CallContext;
  return { call, abort };
}

async function bootGrpc(module: object, methods = METHODS) {
  const server = new FakeGrpcServer();
  const app = await NestFactory.create(module, new FastifyAdapter(), {
    logger: false,
    abortOnError: false,
  });
  connectGrpc(app, new GrpcStrategy(server as unknown as GrpcServer, methods));
  return { app, server };
}

describe('Nest controllers on the gRPC transport', () => {
  let app: INestApplication;
  let server: FakeGrpcServer;
  beforeEach(async () => {
    ({ app, server } = await bootGrpc(TablesModule));
    await app.init();
    await app.startAllMicroservices();
  });
  afterEach(() => app.close());

  it('each method of a controller is registered under its path, with its kind', () => {
    expect([...server.handlers].map(([path, { kind }]) => `${path} ${kind}`)).toEqual([
      '/test.Tables/Create unary',
      '/test.Tables/Fail unary',
      '/test.Tables/Guarded unary',
      '/test.Tables/Watched unary',
      '/test.Tables/Nothing unary',
      '/test.Tables/List server-stream',
    ]);
  });

  it('bytes are decoded, injected services used, the call handed on, the answer encoded', async () => {
    expect(await server.unary('Create', { name: 'x' })).toEqual({
      filled: true,
      greeting: 'hello x',
      path: '/test.Tables/Create',
    });
  });

  it('start-up hooks of the modules run once', () => {
    expect(app.get(Greeter).inits).toBe(1);
  });

  it('pipes refuse with InvalidArgument and their own text', async () => {
    await expect(server.unary('Create', { name: '' })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: 'name must be set',
    });
  });

  it('guards refuse with PermissionDenied, interceptors see the answer', async () => {
    await expect(server.unary('Guarded', {})).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
    });
    expect(await server.unary('Watched', {})).toMatchObject({ value: 1, watched: true });
  });

  it.each([
    ['status', status.NOT_FOUND, 'table not found'],
    ['rpc', status.FAILED_PRECONDITION, 'not now'],
    ['rpcText', status.UNKNOWN, 'just text'],
    ['rpcOk', status.UNKNOWN, 'odd'],
    ['http', status.INVALID_ARGUMENT, 'bad'],
    ['observed', status.ABORTED, 'later'],
  ])('what a controller throws (%s) keeps its code and text', async (how, code, message) => {
    const failure = server.unary('Fail', { how });
    await expect(failure).rejects.toBeInstanceOf(GrpcStatusError);
    await expect(server.unary('Fail', { how })).rejects.toMatchObject({ code, message });
  });

  it('an unexpected error reaches the transport as it is, to be logged and hidden there', async () => {
    const failure = server.unary('Fail', { how: 'plain' });
    await expect(failure).rejects.toThrow('internal detail');
    await expect(server.unary('Fail', { how: 'plain' })).rejects.not.toBeInstanceOf(
      GrpcStatusError,
    );
  });

  it('an answer that is no message, and a request that is none, are refused', async () => {
    await expect(server.unary('Nothing', {})).rejects.toMatchObject({ code: 'GRPC_BINDING' });
    const handler = server.handlers.get('/test.Tables/Create')?.handler as UnaryHandler;
    const broken = async () => handler(Buffer.from('{'), callContext('').call);
    await expect(broken()).rejects.toMatchObject({ code: status.INTERNAL });
  });
});

describe('server streams of Nest controllers', () => {
  let app: INestApplication;
  let server: FakeGrpcServer;
  beforeEach(async () => {
    ({ app, server } = await bootGrpc(TablesModule));
    await app.init();
    await app.startAllMicroservices();
  });
  afterEach(() => app.close());

  function sinkInto(values: unknown[], wait?: () => Promise<void>): MessageSink {
    return {
      write(message) {
        const { value } = JSON.parse(Buffer.from(message).toString()) as { value: unknown };
        values.push(value);
        return wait?.();
      },
    };
  }
  const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

  it.each(['observable', 'iterable'])('all values of an %s arrive, in order', async (how) => {
    const values: unknown[] = [];
    await server.stream({ how, count: 100 }, sinkInto(values, nextTurn));
    expect(values).toEqual(Array.from({ length: 100 }, (_, index) => index));
  });

  it('values before a failure are written, then the failure is told', async () => {
    const values: unknown[] = [];
    const failing = server.stream({ how: 'failing', count: 3 }, sinkInto(values, nextTurn));
    await expect(failing).rejects.toMatchObject({ code: status.UNAVAILABLE });
    expect(values).toEqual([0, 1, 2]);
  });

  it('an async iterable is read no faster than the reader takes it', async () => {
    let release = (): void => undefined;
    const slow = () => new Promise<void>((resolve) => (release = resolve));
    const { call, abort } = callContext('');
    const done = server.stream({ how: 'iterable', count: 1_000 }, sinkInto([], slow), call);
    await nextTurn();
    expect(iterated).toBe(0);
    release();
    await nextTurn();
    expect(iterated).toBe(1);
    abort.abort();
    await expect(done).rejects.toMatchObject({ code: status.CANCELLED });
    release();
    await nextTurn();
    expect(iterated).toBeLessThan(3);
  });

  it('an observable too far ahead of its reader ends the call instead of filling memory', async () => {
    const never = () => new Promise<void>(() => undefined);
    const within = server.stream(
      { how: 'observable', count: STREAM_AHEAD_MAX + 2 },
      sinkInto([], never),
    );
    await expect(within).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  it('a call that was cut off before it began writes nothing and ends', async () => {
    const { call } = callContext('');
    const cut = { ...call, signal: AbortSignal.abort(), cancelled: true } as CallContext;
    const never = () => new Promise<void>(() => undefined);
    const done = server.stream({ how: 'iterable', count: 5 }, sinkInto([], never), cut);
    await expect(done).rejects.toMatchObject({ code: status.CANCELLED });
  });
});

describe('binding of controllers', () => {
  it('a controller that serves a method nobody declared stops the start', async () => {
    const { app } = await bootGrpc(TablesModule, { Tables: { Create: method('Create') } });
    await expect(app.startAllMicroservices()).rejects.toThrow('Tables.Fail: no such method');
    await app.close();
  });
});

describe('REST of an app', () => {
  let app: INestApplication;
  const health = new HealthRegistry();
  let problem = '';
  health.register({
    name: 'raft',
    kind: 'readiness',
    check() {
      if (problem !== '') throw new Error(problem);
    },
  });

  @Module({
    imports: [
      PlatformHealthModule.forRoot(health),
      PlatformMetricsModule.forRoot({ service: 'kv-node', version: '1.2.3' }),
    ],
  })
  class RestModule {}

  let url = '';
  beforeEach(async () => {
    app = await NestFactory.create(RestModule, new FastifyAdapter(), {
      logger: false,
      abortOnError: false,
    });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterEach(() => app.close());

  const get = async (path: string) => {
    const response = await fetch(url + path);
    const type = response.headers.get('content-type');
    return { status: response.status, type, text: await response.text() };
  };

  it('health answers ok, and 503 with the name of what fails, liveness left alone', async () => {
    problem = '';
    const type = 'text/plain; charset=utf-8';
    for (const path of ['/livez', '/readyz', '/healthz']) {
      expect(await get(path)).toEqual({ status: 200, type, text: 'ok' });
    }
    problem = 'no leader';
    expect(await get('/readyz')).toEqual({ status: 503, type, text: 'raft: no leader' });
    expect((await get('/healthz')).status).toBe(503);
    expect((await get('/livez')).status).toBe(200);
    const verbose = (await get('/readyz?verbose')).text;
    expect(verbose).toMatch(/^\[-\] raft failing: no leader \([\d.]+ ms\)\nreadyz failing\n$/);
  });

  it('metrics hold those of the runtime, the build, the loop and the gRPC server', async () => {
    const { status: code, text, type } = await get('/metrics');
    expect(code).toBe(200);
    expect(type).toContain('text/plain');
    for (const name of [
      'process_cpu_user_seconds_total',
      'nodejs_heap_size_used_bytes',
      'flotilla_build_info{service="kv-node",version="1.2.3"',
      'flotilla_event_loop_lag_seconds_bucket',
      '# TYPE grpc_server_handled_total counter',
      '# TYPE grpc_server_handling_seconds histogram',
    ]) {
      expect(text).toContain(name);
    }
  });
});
