/**
 * One address of a client, and the connection to it.
 *
 *     idle --connect--> connecting --settings--> ready --goodbye, loss--> idle
 *      ^                    \--error, too slow--> resting --a while later--> idle
 *
 * At most one connection takes calls; others may live on for calls that are not answered yet. Must
 * never connect while it rests, nor by itself: somebody has to wait for it.
 */
import { type Socket } from 'node:net';
import { type ListenAddress } from '../address.js';
import { type GrpcClientOptions } from '../client.js';
import { type KeepaliveOptions } from '../keepalive.js';
import { type MetadataPairs } from '../server/server-call.js';
import { TOO_MANY_PINGS } from '../server/ping-policy.js';
import { ClientConnection, type ConnectionOwner } from './client-connection.js';
import { Dialer } from './client-dial.js';
import {
  CONNECT_TIMEOUT_MS,
  RECONNECT_JITTER,
  RECONNECT_MAX_MS_DEFAULT,
  RECONNECT_MIN_MS_DEFAULT,
} from './client-limits.js';

/** What an endpoint tells its pool. */
export interface EndpointOwner {
  readonly receiveBytesMax: number;
  /** There may be room for calls, or no more hope for them. */
  onChange(): void;
}

/** A connection that is being made. */
interface Attempt {
  readonly socket: Socket;
  readonly timer: NodeJS.Timeout;
  connection: ClientConnection | undefined;
}

export class ClientEndpoint implements ConnectionOwner {
  /** Why the last attempt, or the last connection, failed. */
  lastError: Error | undefined;
  private readonly dialer: Dialer;
  private attempt: Attempt | undefined;
  private current: ClientConnection | undefined;
  private readonly open = new Set<ClientConnection>();
  private failures = 0;
  private restsUntilMs = Number.NEGATIVE_INFINITY;
  private keepalive: KeepaliveOptions | undefined;

  /** Throws GrpcError TLS_INVALID. */
  constructor(
    address: ListenAddress,
    private readonly options: GrpcClientOptions,
    private readonly metadata: MetadataPairs,
    private readonly random: () => number,
    private readonly owner: EndpointOwner,
  ) {
    this.dialer = new Dialer(address, options.tls);
    this.keepalive = options.keepalive;
  }

  get name(): string {
    return this.dialer.name;
  }

  /** The connection that takes another call now. */
  get available(): ClientConnection | undefined {
    return this.current?.canOpen === true ? this.current : undefined;
  }

  get isReady(): boolean {
    return this.current !== undefined;
  }

  get isConnecting(): boolean {
    return this.attempt !== undefined;
  }

  get connections(): number {
    return this.open.size;
  }

  /** How long it still rests; 0 if it does not. */
  restsMs(nowMs: number): number {
    return Math.max(0, this.restsUntilMs - nowMs);
  }

  /** Begins to connect, unless there is a connection, or one is being made, or it rests. */
  connect(nowMs: number): void {
    if (this.current || this.attempt || this.restsMs(nowMs) > 0) return;
    const socket = this.dialer.dial();
    const attempt: Attempt = {
      socket,
      connection: undefined,
      timer: setTimeout(() => {
        this.failed(attempt, new Error(`no connection in ${CONNECT_TIMEOUT_MS} ms`));
      }, CONNECT_TIMEOUT_MS),
    };
    this.attempt = attempt;
    socket.once('error', (error) => this.failed(attempt, error));
    socket.once('close', () => this.failed(attempt, new Error('the connection was closed')));
    socket.once(this.dialer.readyEvent, () => this.connected(attempt));
  }

  look(nowMs: number): void {
    for (const connection of [...this.open]) connection.look(nowMs);
  }

  /** Ends everything at once, without a rest. */
  cut(error: Error): void {
    const { attempt } = this;
    this.attempt = undefined;
    if (attempt) {
      clearTimeout(attempt.timer);
      attempt.socket.destroy();
    }
    this.current = undefined;
    for (const connection of [...this.open]) connection.destroy(error);
    this.failures = 0;
    this.restsUntilMs = Number.NEGATIVE_INFINITY;
  }

  // ---- attempts ----------------------------------------------------------------------------------

  private connected(attempt: Attempt): void {
    if (this.attempt !== attempt) return;
    const { dialer, metadata, owner } = this;
    const useless = dialer.whyUseless(attempt.socket);
    if (useless) return this.failed(attempt, useless);
    const { scheme, authority } = dialer;
    const common = { scheme, authority, metadata };
    const connection = new ClientConnection(
      attempt.socket,
      this,
      common,
      this.keepalive,
      owner.receiveBytesMax,
    );
    attempt.connection = connection;
    this.open.add(connection);
  }

  private failed(attempt: Attempt, error: Error): void {
    if (this.attempt !== attempt) return;
    this.attempt = undefined;
    clearTimeout(attempt.timer);
    attempt.socket.destroy();
    this.lastError = error;
    this.rest();
    this.owner.onChange();
  }

  private rest(): void {
    const { reconnectMinMs = RECONNECT_MIN_MS_DEFAULT, reconnectMaxMs = RECONNECT_MAX_MS_DEFAULT } =
      this.options;
    const pauseMs = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** this.failures++);
    const jitter = 1 + (this.random() * 2 - 1) * RECONNECT_JITTER;
    this.restsUntilMs = performance.now() + pauseMs * jitter;
  }

  // ---- connections -------------------------------------------------------------------------------

  onReady(connection: ClientConnection): void {
    const { attempt } = this;
    if (attempt?.connection !== connection) return;
    clearTimeout(attempt.timer);
    this.attempt = undefined;
    this.current = connection;
    this.failures = 0;
    this.owner.onChange();
  }

  onGoodbye(connection: ClientConnection, text: string): void {
    if (this.keepalive && text.includes(TOO_MANY_PINGS)) {
      this.keepalive = { ...this.keepalive, timeMs: this.keepalive.timeMs * 2 };
    }
    this.over(connection, new Error(text));
  }

  onRoom(): void {
    this.owner.onChange();
  }

  onClosed(connection: ClientConnection, error: Error | undefined): void {
    this.open.delete(connection);
    this.over(connection, error ?? new Error('the connection was closed'));
  }

  private over(connection: ClientConnection, error: Error): void {
    const { attempt } = this;
    if (attempt?.connection === connection) return this.failed(attempt, error);
    if (this.current !== connection) return;
    this.current = undefined;
    this.lastError = error;
    this.owner.onChange();
  }
}
