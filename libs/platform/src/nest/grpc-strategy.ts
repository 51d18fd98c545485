/**
 * Serves ordinary Nest gRPC controllers (`@GrpcMethod('Tables', 'Create')`) over our own transport.
 *
 *   bytes ──decode──> pipes, guards, interceptors, controller, filters ──encode──> bytes
 *
 * In: a `GrpcServer` and the methods that controllers may serve, with their codecs. Out: a handler
 * registered for each of them that a controller has. Meant for services that are called rarely: Nest's
 * pipeline costs several times what the transport does, so hot services register their handlers
 * with the server themselves. Opening and closing the server is its owner's business.
 *
 * A controller's method gets the decoded request as `@Payload()` and the `CallContext` as `@Ctx()`.
 */
import { type INestApplication, type INestMicroservice } from '@nestjs/common';
import { NestMicroservice, Server, Transport } from '@nestjs/microservices';
import { type CallContext, type GrpcServer, GrpcStatusError, status } from '@flotilla/grpc';
import { firstValueFrom, type Observable } from 'rxjs';
import { isRecord } from '../config/convert.js';
import { PlatformError } from '../platform-error.js';
import { type GrpcControllerMethod, type GrpcControllerMethods } from './grpc-methods.js';
import { GrpcExceptionFilter, toGrpcStatus } from './grpc-status.js';
import { writeStream } from './stream-writer.js';

/** Nest's handler of a pattern, with everything around the controller's method. */
type PatternHandler = (data: unknown, call: CallContext) => Promise<unknown>;

export class GrpcStrategy extends Server {
  private listening = false;

  constructor(
    private readonly grpcServer: GrpcServer,
    private readonly methods: GrpcControllerMethods,
  ) {
    super();
    // Patterns of @GrpcMethod are only offered to servers that say they are gRPC.
    this.setTransportId(Transport.GRPC);
  }

  /** Nest calls this once all controllers are known. */
  listen(callback: (error?: unknown) => void): void {
    try {
      this.bindAll();
      callback();
    } catch (error) {
      callback(error);
    }
  }

  close(): void {
    // The transport belongs to whoever made it, and is closed in its turn.
  }

  on(event: string): never {
    throw new PlatformError('GRPC_BINDING', `the gRPC strategy has no event ${event}`);
  }

  unwrap<T>(): T {
    return this.grpcServer as T;
  }

  private bindAll(): void {
    if (this.listening) throw new PlatformError('LIFECYCLE_ORDER', 'controllers are bound already');
    this.listening = true;
    for (const [pattern, handler] of this.getHandlers()) {
      const { service, rpc, streaming } = parsePattern(pattern);
      const name = `${service}.${rpc}`;
      const method = this.methods[service]?.[rpc];
      if (method === undefined) {
        throw new PlatformError('GRPC_BINDING', `a controller serves ${name}: no such method`);
      }
      if (streaming !== 'no_stream') {
        throw new PlatformError('GRPC_BINDING', `${name}: controllers take no request streams`);
      }
      this.bind(method, handler as PatternHandler);
    }
  }

  private bind(method: GrpcControllerMethod, handler: PatternHandler): void {
    if (method.kind === 'unary') {
      this.grpcServer.register(method.path, 'unary', async (bytes, call) => {
        const values = await this.call(method, handler, bytes, call);
        return encode(method, await statusOf(firstValueFrom(values, { defaultValue: {} })));
      });
      return;
    }
    this.grpcServer.register(method.path, 'server-stream', async (bytes, call, sink) => {
      const values = await this.call(method, handler, bytes, call);
      await writeStream(values, call, sink, (value) => encode(method, value));
    });
  }

  private async call(
    method: GrpcControllerMethod,
    handler: PatternHandler,
    bytes: Buffer,
    call: CallContext,
  ): Promise<Observable<unknown>> {
    const request = decode(method, bytes);
    const result = await statusOf(handler(request, call));
    return this.transformToObservable<unknown>(result);
  }
}

/**
 * Adds the strategy to an app; then `await app.init()` and `await app.startAllMicroservices()` bind
 * the controllers. Pipes and guards for all of them are added to what is returned. What controllers
 * throw keeps its status, also where no filter of the app sees to it.
 */
export function connectGrpc(app: INestApplication, strategy: GrpcStrategy): INestMicroservice {
  // Nest reads global filters when it looks at the controllers: that has to wait for ours.
  const options = { inheritAppConfig: false, deferInitialization: true };
  const microservice = app.connectMicroservice({ strategy }, options);
  if (!(microservice instanceof NestMicroservice)) {
    throw new PlatformError('GRPC_BINDING', 'two copies of @nestjs/microservices are loaded');
  }
  // The app runs the start-up hooks of all modules; a late microservice would run them again.
  microservice.setIsInitHookCalled(true);
  return microservice.useGlobalFilters(new GrpcExceptionFilter());
}

async function statusOf<T>(outcome: Promise<T>): Promise<T> {
  try {
    return await outcome;
  } catch (error) {
    throw toGrpcStatus(error);
  }
}

function decode(method: GrpcControllerMethod, bytes: Buffer): unknown {
  try {
    return method.decode(bytes);
  } catch (error) {
    const text = 'the request message cannot be decoded';
    throw new GrpcStatusError(status.INTERNAL, text, undefined, { cause: error });
  }
}

function encode(method: GrpcControllerMethod, value: unknown): Uint8Array {
  if (typeof value !== 'object' || value === null) {
    throw new PlatformError('GRPC_BINDING', `${method.path} was answered with ${typeof value}`);
  }
  return method.encode(value);
}

interface GrpcPattern {
  readonly service: string;
  readonly rpc: string;
  readonly streaming: string;
}

/** Patterns are the text that `@GrpcMethod` makes of service, method and kind. */
function parsePattern(pattern: string): GrpcPattern {
  const parsed: unknown = pattern.startsWith('{') ? JSON.parse(pattern) : undefined;
  if (isRecord(parsed)) {
    const { service, rpc, streaming } = parsed;
    if (typeof service === 'string' && typeof rpc === 'string' && typeof streaming === 'string') {
      return { service, rpc, streaming };
    }
  }
  throw new PlatformError('GRPC_BINDING', `${pattern} is not a pattern of @GrpcMethod`);
}
