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
import { type Socket } from 'node:net';
import { ACCEPTED_ENCODINGS, answerEncoding, findEncoding } from '../encoding/registry.js';
import { peerName } from '../server/listener.js';
import { PingPolicy, TOO_MANY_PINGS } from '../server/ping-policy.js';
import { encodeStatusMessage, parseDeadline } from '../server/request-headers.js';
import { KEEPALIVE_MIN_TIME_MS_DEFAULT, ServerBase } from '../server/server-base.js';
import { GrpcStatusError, status } from '../status.js';
import { type GrpcServer, type GrpcServerOptions } from '../transport.js';
import { createCarrier, type Carrier } from './runtime.js';
import { openCall } from './wire.js';

interface Session {
  readonly peer: string;
  readonly pings: PingPolicy;
}

export function createGrpcJsServer(options: GrpcServerOptions): GrpcServer {
  return new GrpcJsServer(options);
}

class GrpcJsServer extends ServerBase {
  readonly #carrier: Carrier;
  readonly #sessions = new Map<Http2Session, Session>();
  readonly #keepaliveMinTimeMs: number;

  constructor(options: GrpcServerOptions) {
    super(options);
    this.#keepaliveMinTimeMs = options.keepaliveMinTimeMs ?? KEEPALIVE_MIN_TIME_MS_DEFAULT;
    this.#carrier = createCarrier(carrierOptions(options), {
      onStream: (stream, headers) => this.#onStream(stream, headers),
      onSession: (session) => this.#onSession(session),
    });
  }

  protected get sessionCount(): number {
    return this.#sessions.size;
  }

  protected onSocket(socket: Socket): void {
    this.#carrier.inject(socket);
  }

  protected sayGoodbye(): void {
    for (const session of this.#sessions.keys()) session.close();
  }

  protected cutSessions(): void {
    for (const session of this.#sessions.keys()) {
      session.destroy(undefined, constants.NGHTTP2_CANCEL);
    }
    this.#carrier.destroy();
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
      this.checkIdle();
    });
    session.on('ping', () => {
      if (this.#keepaliveMinTimeMs > 0 && state.pings.onPing(performance.now())) {
        this.logger.warn({ peer: state.peer }, 'a client pings too often');
        session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from(TOO_MANY_PINGS));
        session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      }
    });
    if (this.isClosing) {
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
    const method = this.table.find(path);
    if (method === undefined) {
      refuseCall(stream, this.table.unknown(path));
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
      answerEncoding: answerEncoding(
        requestEncoding,
        text(headers['grpc-accept-encoding']),
        method.packing?.encodings,
      ),
      onSent: () => session?.pings.onSent(),
    });
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
