/**
 * The server side of gRPC as the rest of the project sees it, whatever moves the bytes underneath.
 *
 * In: handlers registered by method path, each taking and giving message bytes, plus hooks that
 * authorise or observe calls. Out: a `GrpcServer` that listens, drains and counts. A unary handler
 * may answer in the tick it was called; no promise is made for it then.
 *
 * Must never mention a product, a message type, or the library that implements it: two transports
 * stand behind this file.
 */
import { type Socket } from 'node:net';
import { type GrpcStatusError, type StatusCode } from './status.js';
import { type MetadataValue, type ReceivedMetadata } from './metadata.js';
import { type ListenAddress } from './address.js';
import { type KeepaliveOptions } from './keepalive.js';
import { type ServerTlsOptions } from './tls.js';

/** The bytes of one message. Requests always arrive as `Buffer`; answers may be any view. */
export type MessageBytes = Uint8Array;

/** What a handler may know of its call, and the little it may say beside its messages. */
export interface CallContext {
  /** `/pkg.Service/Method`. */
  readonly path: string;
  /** `host:port` of the client, or `unix:` for a unix socket. For logs, not for decisions. */
  readonly peer: string;
  /** When the client gives up, in milliseconds since the epoch; undefined when it never does. */
  readonly deadline: number | undefined;
  /** What the client sent beside its messages. */
  readonly metadata: ReceivedMetadata;
  /** True once nobody waits for the answer any more: cancelled, past its deadline, cut off. */
  readonly cancelled: boolean;
  /** Aborts when `cancelled` turns true. Made at the first look, so ask `cancelled` if that does. */
  readonly signal: AbortSignal;
  /** Adds to what is sent before the first message; throws once that has been sent. */
  setHeader(name: string, value: MetadataValue): void;
  /** Adds to what is sent with the status, whatever the status. */
  setTrailer(name: string, value: MetadataValue): void;
}

/** Where a streaming handler puts its messages. */
export interface MessageSink {
  /**
   * Sends one message. `undefined` means go on; a promise means the reader is behind: wait for it
   * before the next write, or memory grows. It rejects with a `GrpcStatusError` (Cancelled or
   * DeadlineExceeded) when the call ends instead; a write after the end throws the same.
   */
  write(message: MessageBytes): Promise<void> | undefined;
}

export type UnaryHandler = (
  request: Buffer,
  call: CallContext,
) => MessageBytes | Promise<MessageBytes>;

export type ServerStreamHandler = (
  request: Buffer,
  call: CallContext,
  sink: MessageSink,
) => void | Promise<void>;

/** The iteration throws a `GrpcStatusError` when the call is cut; leaving it early is fine. */
export type ClientStreamHandler = (
  requests: AsyncIterable<Buffer>,
  call: CallContext,
) => Promise<MessageBytes>;

export type BidiHandler = (
  requests: AsyncIterable<Buffer>,
  call: CallContext,
  sink: MessageSink,
) => Promise<void>;

/** The four kinds of method, each with the shape of its handler. */
export interface HandlerByKind {
  unary: UnaryHandler;
  'server-stream': ServerStreamHandler;
  'client-stream': ClientStreamHandler;
  bidi: BidiHandler;
}

export type MethodKind = keyof HandlerByKind;

/**
 * How the answers of a method are packed. Without it they are packed as the client packs its requests,
 * which for most clients means not at all.
 */
export interface AnswerPacking {
  /** The first of these that the client says it accepts is taken; if it accepts none, it is as without. */
  readonly encodings: readonly ('gzip' | 'snappy' | 'zstd')[];
  /** Smaller messages go plain. */
  readonly bytesMin: number;
}

/** A method as an observer or a listing names it. `service` is `pkg.Service`. */
export interface MethodInfo {
  readonly path: string;
  readonly service: string;
  readonly method: string;
  readonly kind: MethodKind;
}

/** How a call ended. */
export interface CallOutcome {
  readonly code: StatusCode;
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly durationMs: number;
  /** What the client was told, when it was an error. */
  readonly error: GrpcStatusError | undefined;
  /** What the handler threw, when that was not meant for the client. Already logged. */
  readonly cause: unknown;
}

/**
 * Watches calls, for metrics, access logs and traces. A server without observers takes no clock
 * reading and counts nothing. An observer must not throw; what it throws is logged and dropped.
 */
export interface CallObserver {
  /** A call begins; the function it returns, if any, is told once how it ended. */
  onCall(method: MethodInfo, call: CallContext): ((outcome: CallOutcome) => void) | undefined;
  /**
   * The same for unary calls, for an observer that only counts: where a transport can, it tells these
   * and makes neither context nor outcome.
   */
  readonly unary?: UnaryObserver;
}

/** Told of each unary call when it begins and when it has ended. */
export interface UnaryObserver {
  started(method: MethodInfo): void;
  /** `answered` tells whether a message was sent. */
  ended(method: MethodInfo, code: StatusCode, answered: boolean, durationMs: number): void;
}

/** Refuses a call by throwing `GrpcStatusError`; returning lets it go on. */
export type AuthorizeHook = (call: CallContext) => void | Promise<void>;

/** Where the server says what an operator should know. The first argument holds the fields. */
export interface GrpcLogger {
  error(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
}

/** Zero stands for "no limit" wherever a limit may be absent, as it does in the configuration. */
export interface GrpcServerOptions {
  readonly logger: GrpcLogger;
  /** Largest request message, before and after decompression. Default 4 MiB. */
  readonly receiveBytesMax?: number;
  /** Calls open at once on one connection. Default 0: no limit. */
  readonly concurrentStreamsMax?: number;
  /** Connections served at once; more wait for one of them to close. Default 0: no limit. */
  readonly connectionsMax?: number;
  /** Age at which a connection is asked to end once its calls have. Default 0: never. */
  readonly connectionAgeMaxMs?: number;
  /** How long its calls may go on after that. Default 0: as long as they take. */
  readonly connectionAgeGraceMs?: number;
  /** Pings of a client more often than this are answered by closing. Default 30 s; 0: any. */
  readonly keepaliveMinTimeMs?: number;
  /** How a client that has gone without a word is found out. Default: not at all. */
  readonly keepalive?: KeepaliveOptions;
}

export interface ListenOptions {
  /** Needed for `https://` and `unixs://`, refused for the other two. */
  readonly tls?: ServerTlsOptions;
  /**
   * Takes connections that speak HTTP/1.1, after TLS, with what was read of them put back; a client
   * that speaks either is taken for one of those. Without it they are closed.
   */
  readonly http1?: (socket: Socket) => void;
}

/** A socket that the server listens on. `port` is the real one when 0 was asked for. */
export interface BoundAddress {
  readonly address: ListenAddress;
  readonly port: number | undefined;
  /** As one writes it: `http://127.0.0.1:8443`, `unix:///run/x.sock`. */
  readonly url: string;
}

export interface GrpcServer {
  /** Adds a method. A second handler for a path is refused, and so is a path that is malformed. */
  register<K extends MethodKind>(
    path: string,
    kind: K,
    handler: HandlerByKind[K],
    packing?: AnswerPacking,
  ): void;
  /** Guards a service (`pkg.Service`) or one method (`/pkg.Service/Method`). Hooks add up. */
  authorize(scope: string, hook: AuthorizeHook): void;
  /** Watches every call that reaches a registered method, refused ones included. */
  observe(observer: CallObserver): void;
  /** All registered methods, for reflection and listings. */
  methods(): readonly MethodInfo[];
  /** May be called several times, for several addresses. */
  listen(address: ListenAddress | string, options?: ListenOptions): Promise<BoundAddress>;
  /** Connections open now. */
  readonly connections: number;
  /** Calls whose handler has not ended yet. */
  readonly activeCalls: number;
  /**
   * Stops listening, tells clients to go elsewhere, waits up to `graceMs` for running calls and
   * then cuts what is left. Returns whether all ended by themselves. Idempotent.
   */
  close(options?: { graceMs?: number }): Promise<boolean>;
}
