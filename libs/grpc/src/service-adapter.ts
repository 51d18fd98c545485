/**
 * Lets services written for `@grpc/grpc-js` (health, reflection) run on any `GrpcServer`.
 *
 * In: what such a service hands to `addService`: definitions with their codecs, and handlers that
 * want a call object. Out: byte handlers. Only the call features those two services use exist.
 *
 * Must never buffer for a slow reader without bound: a call whose reader lags is ended.
 */
import { EventEmitter } from 'node:events';
import { asBuffer } from './encoding/encoding.js';
import { GrpcStatusError, status, toStatusCode } from './status.js';
import {
  type BidiHandler,
  type GrpcServer,
  type MessageSink,
  type ServerStreamHandler,
  type UnaryHandler,
} from './transport.js';

/** One method of a service definition, as proto-loader makes them. */
interface MethodDefinition {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly originalName?: string;
  requestDeserialize(bytes: Buffer): unknown;
  responseSerialize(message: object): Buffer;
}

/** What `addToServer` of such a service asks for. */
export interface ServiceHost {
  addService(service: object, implementation: object): void;
}

/** Answers that a call may have waiting before its reader is given up. */
const WAITING_MESSAGES_MAX = 1000;

/** The call object: events in, `write` and `end` out. */
class AdaptedCall extends EventEmitter {
  cancelled = false;
  readonly done: Promise<void>;
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(
    readonly request: unknown,
    private readonly definition: MethodDefinition,
    private readonly sink: MessageSink,
  ) {
    super();
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  write(message: object): void {
    if (this.#waiting >= WAITING_MESSAGES_MAX) {
      this.fail(new GrpcStatusError(status.RESOURCE_EXHAUSTED, 'the reader is too far behind'));
      return;
    }
    this.#waiting += 1;
    const bytes = this.definition.responseSerialize(message);
    this.#last = this.#last
      .then(() => this.sink.write(bytes))
      .then(() => {
        this.#waiting -= 1;
      });
    this.#last.catch((error: unknown) => this.fail(error));
  }

  end(): void {
    this.#last.then(
      () => this.#settle?.resolve(),
      (error: unknown) => this.fail(error),
    );
  }

  fail(error: unknown): void {
    this.#settle?.reject(error instanceof Error ? error : new Error(String(error)));
  }

  cancel(error: unknown): void {
    this.cancelled = true;
    this.emit('cancelled', 'cancelled');
    this.fail(error);
  }
}

type Implementation = (
  call: unknown,
  callback?: (error: unknown, message: object | null) => void,
) => void;

/** The `addService` of grpc-js over a `GrpcServer`. */
export function serviceHost(server: GrpcServer): ServiceHost {
  return {
    addService(service, implementation) {
      const handlers = implementation as Record<string, Implementation>;
      for (const [name, entry] of Object.entries(service)) {
        const definition = entry as MethodDefinition;
        const handle = handlers[name] ?? handlers[definition.originalName ?? ''];
        if (handle !== undefined) {
          register(server, definition, handle.bind(implementation));
        }
      }
    },
  };
}

function register(server: GrpcServer, definition: MethodDefinition, handle: Implementation): void {
  const { path, requestStream, responseStream } = definition;
  if (requestStream && responseStream) {
    server.register(path, 'bidi', adaptBidi(definition, handle));
  } else if (responseStream) {
    server.register(path, 'server-stream', adaptServerStream(definition, handle));
  } else if (!requestStream) {
    server.register(path, 'unary', adaptUnary(definition, handle));
  }
}

function adaptUnary(definition: MethodDefinition, handle: Implementation): UnaryHandler {
  return (bytes) =>
    new Promise((resolve, reject) => {
      const request = definition.requestDeserialize(bytes);
      handle({ request }, (error, message) => {
        if (error !== null && error !== undefined) {
          reject(toStatus(error));
        } else {
          resolve(asBuffer(definition.responseSerialize(message ?? {})));
        }
      });
    });
}

function adaptServerStream(
  definition: MethodDefinition,
  handle: Implementation,
): ServerStreamHandler {
  return async (bytes, context, sink) => {
    const call = new AdaptedCall(definition.requestDeserialize(bytes), definition, sink);
    context.signal.addEventListener('abort', () => call.cancel(context.signal.reason));
    handle(call);
    await call.done;
  };
}

function adaptBidi(definition: MethodDefinition, handle: Implementation): BidiHandler {
  return async (requests, context, sink) => {
    const call = new AdaptedCall(undefined, definition, sink);
    context.signal.addEventListener('abort', () => call.cancel(context.signal.reason));
    handle(call);
    const read = async (): Promise<void> => {
      for await (const bytes of requests) {
        call.emit('data', definition.requestDeserialize(bytes));
      }
      call.emit('end');
    };
    await Promise.all([call.done, read().catch((error: unknown) => call.fail(error))]);
  };
}

function toStatus(error: unknown): GrpcStatusError {
  const { code, details } = error as { code?: number; details?: string };
  return new GrpcStatusError(toStatusCode(code ?? status.UNKNOWN), details ?? '');
}
