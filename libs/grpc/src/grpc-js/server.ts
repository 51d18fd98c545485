/**
 * The server over `@grpc/grpc-js`: correct, independent of the rest, and slow.
 *
 *     Listener -> socket -> grpc-js (HTTP/2, frames) -> onStream -> ServerCall -> handler
 *
 * In: handlers, guards, observers, addresses. Out: answers on sockets.
 *
 * Must never let grpc-js see inside a message or choose the words of a refusal; the limits,
 * encodings, deadlines and texts are those of this library, so that the next transport has the same.
 */
import {
  constants,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { parseAddress, type ListenAddress } from '../address.js';
import { ACCEPTED_ENCODINGS, answerEncoding, findEncoding } from '../encoding/registry.js';
import { GrpcError } from '../errors.js';
import { ConnectionGate, Listener, peerName } from '../server/listener.js';
import { MethodTable } from '../server/method-table.js';
import { PingPolicy, TOO_MANY_PINGS } from '../server/ping-policy.js';
import { encodeStatusMessage, parseDeadline } from '../server/request-headers.js';
import { type CallHost } from '../server/server-call.js';
import { GrpcStatusError, status } from '../status.js';
import {
  type AuthorizeHook,
  type BoundAddress,
  type CallObserver,
  type GrpcLogger,
  type GrpcServer,
  type GrpcServerOptions,
  type HandlerByKind,
  type ListenOptions,
  type MethodInfo,
  type MethodKind,
} from '../transport.js';
import { createCarrier, type Carrier } from './runtime.js';
import { openCall } from './wire.js';

/** What Go servers accept unless told otherwise. */
export const RECEIVE_BYTES_MAX_DEFAULT = 4 * 1024 * 1024;
/** The least time between two pings of a client that Go servers accept from Regatta on. */
export const KEEPALIVE_MIN_TIME_MS_DEFAULT = 30_000;

/** How long a drained connection may take to say goodbye before it is cut. */
const GOODBYE_MS = 1000;

interface Session {
  readonly peer: string;
  readonly pings: PingPolicy;
}

export function createGrpcJsServer(options: GrpcServerOptions): GrpcServer {
  return new GrpcJsServer(options);
}

class GrpcJsServer implements GrpcServer, CallHost {
  readonly logger: GrpcLogger;
  readonly receiveBytesMax: number;
  readonly #methods = new MethodTable();
  readonly #gate: ConnectionGate;
  readonly #carrier: Carrier;
  readonly #listeners: Listener[] = [];
  readonly #sessions = new Map<Http2Session, Session>();
  readonly #keepaliveMinTimeMs: number;
  #activeCalls = 0;
  #closing: Promise<boolean> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.logger = options.logger;
    this.receiveBytesMax = options.receiveBytesMax ?? RECEIVE_BYTES_MAX_DEFAULT;
    this.#keepaliveMinTimeMs = options.keepaliveMinTimeMs ?? KEEPALIVE_MIN_TIME_MS_DEFAULT;
    this.#gate = new ConnectionGate(options.connectionsMax ?? 0);
    this.#carrier = createCarrier(carrierOptions(options), {
      onStream: (stream, headers) => this.#onStream(stream, headers),
      onSession: (session) => this.#onSession(session),
    });
  }

  get observers(): readonly CallObserver[] {
    return this.#methods.observers;
  }

  get connections(): number {
    return this.#gate.open;
  }

  get activeCalls(): number {
    return this.#activeCalls;
  }

  register<K extends MethodKind>(path: string, kind: K, handler: HandlerByKind[K]): void {
    this.#methods.register(path, kind, handler);
  }

  authorize(scope: string, hook: AuthorizeHook): void {
    this.#methods.authorize(scope, hook);
  }

  observe(observer: CallObserver): void {
    this.#methods.observers.push(observer);
  }

  methods(): readonly MethodInfo[] {
    return this.#methods.list();
  }

  async listen(address: ListenAddress | string, options?: ListenOptions): Promise<BoundAddress> {
    if (this.#closing !== undefined) {
      throw new GrpcError('CLOSED', 'the server has been closed');
    }
    const parsed = typeof address === 'string' ? parseAddress(address, 'address') : address;
    const { listener, bound } = await Listener.open(parsed, options?.tls, {
      gate: this.#gate,
      logger: this.logger,
      onConnection: (socket) => this.#carrier.inject(socket),
    });
    if (this.#closing !== undefined) {
      listener.close();
      throw new GrpcError('CLOSED', 'the server was closed while it opened a socket');
    }
    this.#listeners.push(listener);
    return bound;
  }

  close(options: { graceMs?: number } = {}): Promise<boolean> {
    this.#closing ??= this.#drain(options.graceMs ?? 0);
    return this.#closing;
  }

  onBegin(): void {
    this.#activeCalls += 1;
  }

  onDone(): void {
    this.#activeCalls -= 1;
    this.#checkIdle();
  }

  #onSession(session: ServerHttp2Session): void {
    const state: Session = {
      peer: peerName(session.socket),
      pings: new PingPolicy(this.#keepaliveMinTimeMs),
    };
    this.#sessions.set(session, state);
    session.on('error', (error) => {
      this.logger.info({ err: error, peer: state.peer }, 'a connection failed');
    });
    session.on('close', () => {
      this.#sessions.delete(session);
      this.#checkIdle();
    });
    session.on('ping', () => {
      if (this.#keepaliveMinTimeMs > 0 && state.pings.onPing(performance.now())) {
        this.logger.warn({ peer: state.peer }, 'a client pings too often');
        session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from(TOO_MANY_PINGS));
        session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      }
    });
    if (this.#closing !== undefined) {
      session.close();
    }
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const contentType = headers['content-type'];
    if (contentType === undefined || !contentType.startsWith('application/grpc')) {
      refuse(stream, { ':status': constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE });
      return;
    }
    const path = String(headers[':path']);
    const method = this.#methods.find(path);
    if (method === undefined) {
      refuseCall(stream, this.#methods.unknown(path));
      return;
    }
    const encodingName = text(headers['grpc-encoding']);
    const requestEncoding = findEncoding(encodingName);
    if (requestEncoding === undefined) {
      const words = `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(encodingName)}`;
      refuseCall(stream, new GrpcStatusError(status.UNIMPLEMENTED, words));
      return;
    }
    const timeout = text(headers['grpc-timeout']);
    const deadline = parseDeadline(timeout, Date.now());
    if (deadline === 'malformed') {
      const words = `malformed grpc-timeout: ${JSON.stringify(timeout)}`;
      refuseCall(stream, new GrpcStatusError(status.INTERNAL, words));
      return;
    }
    // The deadline is kept here: the layer below would count it in 32 bits.
    delete headers['grpc-timeout'];
    const session = stream.session === undefined ? undefined : this.#sessions.get(stream.session);
    openCall(this, this.#carrier.openCall(stream, headers), stream, {
      method,
      peer: session?.peer ?? 'unix:',
      deadline,
      requestEncoding,
      answerEncoding: answerEncoding(requestEncoding, text(headers['grpc-accept-encoding'])),
      onSent: () => session?.pings.onSent(),
    });
  }

  async #drain(graceMs: number): Promise<boolean> {
    for (const listener of this.#listeners) {
      listener.close();
    }
    this.#gate.clear();
    for (const session of this.#sessions.keys()) {
      session.close();
    }
    const orderly = await this.#idleWithin(graceMs);
    if (orderly) {
      await this.#idleWithin(GOODBYE_MS, () => this.#sessions.size === 0);
    }
    for (const session of this.#sessions.keys()) {
      session.destroy(undefined, constants.NGHTTP2_CANCEL);
    }
    for (const listener of this.#listeners) {
      listener.destroyConnections();
    }
    this.#carrier.destroy();
    return orderly;
  }

  /** Waits until `idle` holds, at most so long; gives whether it did. */
  #idleWithin(limitMs: number, idle = (): boolean => this.#activeCalls === 0): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (result: boolean): void => {
        clearTimeout(timer);
        this.#onIdle = undefined;
        resolve(result);
      };
      const timer = setTimeout(() => end(idle()), limitMs);
      this.#onIdle = () => {
        if (idle()) {
          end(true);
        }
      };
      this.#onIdle();
    });
  }

  #checkIdle(): void {
    this.#onIdle?.();
  }
}

function carrierOptions(options: GrpcServerOptions): Record<string, number> {
  const { concurrentStreamsMax = 0, connectionAgeMaxMs = 0, connectionAgeGraceMs = 0 } = options;
  const { keepalive } = options;
  return {
    ...(concurrentStreamsMax > 0 ? { 'grpc.max_concurrent_streams': concurrentStreamsMax } : {}),
    ...(connectionAgeMaxMs > 0 ? { 'grpc.max_connection_age_ms': connectionAgeMaxMs } : {}),
    ...(connectionAgeGraceMs > 0
      ? { 'grpc.max_connection_age_grace_ms': connectionAgeGraceMs }
      : {}),
    ...(keepalive && {
      'grpc.keepalive_time_ms': keepalive.timeMs,
      'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
    }),
  };
}

function text(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}

/** Answers by headers alone, whatever the client still sends. */
function refuse(stream: ServerHttp2Stream, headers: Record<string, string | number>): void {
  stream.respond(headers, { endStream: true });
  stream.resume();
}

function refuseCall(stream: ServerHttp2Stream, error: GrpcStatusError): void {
  refuse(stream, {
    ':status': constants.HTTP_STATUS_OK,
    'content-type': 'application/grpc',
    'grpc-accept-encoding': ACCEPTED_ENCODINGS,
    'grpc-status': error.code,
    'grpc-message': encodeStatusMessage(error.message),
  });
}
