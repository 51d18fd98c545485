/**
 * The server over this library's own HTTP/2: a request costs a few microseconds.
 *
 *     Listener -> socket -> ServerConnection -> ServerStream -> UnaryCall or ServerCall -> handler
 *
 * In: handlers, guards, observers, addresses. Out: answers on sockets.
 */
import { type Socket } from 'node:net';
import { ServerBase } from '../server/server-base.js';
import {
  type CallObserver,
  type GrpcServer,
  type GrpcServerOptions,
  type UnaryObserver,
} from '../transport.js';
import { ServerConnection, type ConnectionHost } from './server-connection.js';
import { connectionLimits, type ConnectionLimits } from './server-limits.js';

/** How often connections are looked at for what has to end because of time. */
const LOOK_MS = 1000;
/** No keepalive is looked at less often than a quarter of its own times. */
const LOOKS_PER_KEEPALIVE = 4;
const LOOK_MS_MIN = 10;

/** `limits` overrides bounds that no option sets. */
export function createNativeServer(
  options: GrpcServerOptions,
  limits: Partial<ConnectionLimits> = {},
): GrpcServer {
  return new NativeServer(options, limits);
}

class NativeServer extends ServerBase implements ConnectionHost {
  unaryObservers: readonly UnaryObserver[] = [];
  countsOnly = true;
  private readonly open = new Set<ServerConnection>();
  private looking: NodeJS.Timeout | undefined;

  constructor(
    private readonly options: GrpcServerOptions,
    private readonly limits: Partial<ConnectionLimits>,
  ) {
    super(options);
  }

  override observe(observer: CallObserver): void {
    super.observe(observer);
    const unary = this.observers.map((each) => each.unary);
    this.unaryObservers = unary.filter((each) => each !== undefined);
    this.countsOnly = this.unaryObservers.length === unary.length;
  }

  onConnectionClosed(connection: ServerConnection): void {
    this.open.delete(connection);
    if (this.open.size === 0) {
      clearInterval(this.looking);
      this.looking = undefined;
    }
    this.checkIdle();
  }

  protected get sessionCount(): number {
    return this.open.size;
  }

  protected onSocket(socket: Socket): void {
    const limits = { ...connectionLimits(this.options, Math.random), ...this.limits };
    const connection = new ServerConnection(socket, this, limits);
    this.open.add(connection);
    this.looking ??= setInterval(() => this.look(), this.lookMs()).unref();
    if (this.isClosing) connection.sayGoodbye();
  }

  protected sayGoodbye(): void {
    for (const connection of [...this.open]) connection.sayGoodbye();
  }

  protected cutSessions(): void {
    for (const connection of [...this.open]) connection.destroy();
  }

  private look(): void {
    const nowMs = performance.now();
    for (const connection of [...this.open]) connection.look(nowMs);
  }

  /** Short times in the options are kept too. */
  private lookMs(): number {
    const { keepalive, connectionAgeMaxMs = 0, connectionAgeGraceMs = 0 } = this.options;
    const { handshakeTimeoutMs, requestStallMs, writeStallMs } = this.limits;
    const { answerStallMs, readerStallMs } = this.limits;
    const times = [
      ...[handshakeTimeoutMs, requestStallMs, writeStallMs, answerStallMs, readerStallMs],
      keepalive?.timeMs,
      keepalive?.timeoutMs,
      connectionAgeMaxMs || undefined,
      connectionAgeGraceMs || undefined,
    ].filter((time) => time !== undefined);
    const shortest = Math.min(...times.map((time) => time / LOOKS_PER_KEEPALIVE), LOOK_MS);
    return Math.max(shortest, LOOK_MS_MIN);
  }
}
