/**
 * The one place that reaches into `@grpc/grpc-js`, and the check that its inside is what this code
 * was written for.
 *
 * What is used there and is not public: the server's `_streamHandler` and `_sessionHandler`, replaced
 * on the instance, and the class of a call's innermost layer, subclassed. The subclass passes frames
 * through whole: grpc-js then carries frames, headers and status, and never looks into a message,
 * so that encodings it does not know can be unpacked above it.
 *
 * Must never run on another minor version or another shape: `createCarrier` throws then.
 */
import { type Metadata, Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js';
import {
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { createRequire } from 'node:module';
import { type Socket } from 'node:net';
import { GrpcError } from '../errors.js';

/** Minor version whose inside was read. Patch releases are let through if the shape is the same. */
const VERSION = /^1\.14\./;

interface StatusObject {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata | null;
}

/** What a call's innermost layer tells. */
export interface FrameListener {
  onReceiveMetadata(metadata: Metadata): void;
  onReceiveMessage(frame: Buffer): void;
  onReceiveHalfClose(): void;
  onCancel(): void;
}

/** A call's innermost layer, as far as it is used here. */
export interface FrameCall {
  /** Turns the bytes of the stream into frames; may be replaced before the first arrive. */
  decoder: { write(chunk: Buffer): Buffer[] };
  start(listener: FrameListener): void;
  startRead(): void;
  sendMetadata(metadata: Metadata): void;
  sendMessage(frame: Buffer, sent: () => void): void;
  sendStatus(status: StatusObject): void;
}

type FrameCallClass = new (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  tracker: null,
  handler: unknown,
  options: object,
) => FrameCall;

type StreamHandler = (
  interceptors: unknown,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
) => void;

type SessionHandler = (http2Server: unknown) => (session: ServerHttp2Session) => void;

/** The methods of the innermost layer that are replaced or called, with their parameters. */
const CALL_METHODS = {
  decompressMessage: 2,
  serializeMessage: 1,
  handleDataFrame: 1,
  start: 1,
  startRead: 0,
  sendMetadata: 1,
  sendMessage: 2,
  sendStatus: 1,
} as const;

/** A grpc-js server that is given sockets and gives streams. */
export interface Carrier {
  /** Makes the frame-carrying layer over a stream. */
  openCall(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): FrameCall;
  /** Serves HTTP/2 on a socket. */
  inject(socket: Socket): void;
  /** Frees what the carrier holds. Sessions are the caller's to end. */
  destroy(): void;
}

export interface CarrierHooks {
  onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void;
  onSession(session: ServerHttp2Session): void;
}

export function createCarrier(options: ServerOptions, hooks: CarrierHooks): Carrier {
  const CallClass = loadCallClass();
  const server = new Server({ ...options, 'grpc.enable_channelz': 0 });
  const inner = server as unknown as Record<string, unknown>;
  const sessionHandler = method(inner, '_sessionHandler', 1) as SessionHandler;
  method(inner, '_streamHandler', 3);
  const onStream: StreamHandler = (_interceptors, stream, headers) => {
    // A broken stream says so by its close as well; without a listener it would end the process.
    stream.on('error', () => undefined);
    hooks.onStream(stream, headers);
  };
  inner['_streamHandler'] = onStream;
  inner['_sessionHandler'] = (http2Server: unknown) => {
    const handle = sessionHandler.call(server, http2Server);
    return (session: ServerHttp2Session) => {
      handle(session);
      hooks.onSession(session);
    };
  };
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const handler = { path: '', type: 'bidi', serialize: passThrough, deserialize: passThrough };
  return {
    openCall: (stream, headers) =>
      new CallClass(stream, headers, null, handler, { 'grpc.max_receive_message_length': -1 }),
    inject: (socket) => injector.injectConnection(socket),
    destroy: () => {
      injector.destroy();
      server.forceShutdown();
    },
  };
}

function passThrough(frame: Buffer): Buffer {
  return frame;
}

function loadCallClass(): FrameCallClass {
  const require = createRequire(import.meta.url);
  const { version } = require('@grpc/grpc-js/package.json') as { version: string };
  const path = '@grpc/grpc-js/build/src/server-interceptors.js';
  return adaptCallClass(version, require(path) as Record<string, unknown>);
}

/**
 * The innermost layer with packing and framing taken out of it, made from the module that holds it.
 */
export function adaptCallClass(
  version: string,
  internals: Readonly<Record<string, unknown>>,
): FrameCallClass {
  if (!VERSION.test(version)) {
    throw mismatch(`version ${version} is not 1.14`);
  }
  const { BaseServerInterceptingCall: base } = internals;
  if (typeof base !== 'function') {
    throw mismatch('the class of a call is not there');
  }
  const prototype = base.prototype as Record<string, unknown>;
  for (const [name, parameters] of Object.entries(CALL_METHODS)) {
    method(prototype, name, parameters);
  }
  return class extends (base as FrameCallClass) {
    constructor(...parameters: ConstructorParameters<FrameCallClass>) {
      super(...parameters);
      if (typeof this.decoder?.write !== 'function') {
        throw mismatch('a call has no decoder');
      }
    }

    decompressMessage(frame: Buffer): Buffer {
      return frame;
    }

    serializeMessage(frame: Buffer): Buffer {
      return frame;
    }
  };
}

function method(holder: Record<string, unknown>, name: string, parameters: number): unknown {
  const value = holder[name];
  if (typeof value !== 'function' || value.length !== parameters) {
    throw mismatch(`${name} is not what it was`);
  }
  return value;
}

function mismatch(reason: string): GrpcError {
  const text = `@grpc/grpc-js has another inside than this server was written for: ${reason}`;
  return new GrpcError('RUNTIME_MISMATCH', text);
}
