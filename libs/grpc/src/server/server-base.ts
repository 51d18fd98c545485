/**
 * What every server of this library is, whatever speaks HTTP/2 underneath: methods, listeners, the
 * count of calls, and the order in which it ends.
 *
 *     listening --close--> draining --no calls, or graceMs--> closed
 *
 * Must never wait for a connection longer than it was asked to.
 */
import { type Socket } from 'node:net';
import { parseAddress, type ListenAddress } from '../address.js';
import { GrpcError } from '../errors.js';
import {
  type AnswerPacking,
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
import { ConnectionGate, Listener } from './listener.js';
import { MethodTable } from './method-table.js';
import { type CallHost } from './server-call.js';

/** What Go servers accept unless told otherwise. */
export const RECEIVE_BYTES_MAX_DEFAULT = 4 * 1024 * 1024;
/** The least time between two pings of a client that Go servers accept from Regatta on. */
export const KEEPALIVE_MIN_TIME_MS_DEFAULT = 30_000;

/** How long a drained connection may take to say goodbye before it is cut. */
const GOODBYE_MS = 1000;

export abstract class ServerBase implements GrpcServer, CallHost {
  readonly logger: GrpcLogger;
  readonly receiveBytesMax: number;
  readonly table = new MethodTable();
  private readonly gate: ConnectionGate;
  private readonly listeners: Listener[] = [];
  private calls = 0;
  private closing: Promise<boolean> | undefined;
  private onIdle: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.logger = options.logger;
    this.receiveBytesMax = options.receiveBytesMax ?? RECEIVE_BYTES_MAX_DEFAULT;
    this.gate = new ConnectionGate(options.connectionsMax ?? 0, () => this.checkIdle());
  }

  get observers(): readonly CallObserver[] {
    return this.table.observers;
  }

  get connections(): number {
    return this.gate.open;
  }

  get activeCalls(): number {
    return this.calls;
  }

  /** Whether `close` was called. */
  protected get isClosing(): boolean {
    return this.closing !== undefined;
  }

  register<K extends MethodKind>(
    path: string,
    kind: K,
    handler: HandlerByKind[K],
    packing?: AnswerPacking,
  ): void {
    this.table.register(path, kind, handler, packing);
  }

  authorize(scope: string, hook: AuthorizeHook): void {
    this.table.authorize(scope, hook);
  }

  observe(observer: CallObserver): void {
    this.table.observers.push(observer);
  }

  methods(): readonly MethodInfo[] {
    return this.table.list();
  }

  async listen(address: ListenAddress | string, options?: ListenOptions): Promise<BoundAddress> {
    if (this.isClosing) throw new GrpcError('CLOSED', 'the server has been closed');
    const parsed = typeof address === 'string' ? parseAddress(address, 'address') : address;
    const { listener, bound } = await Listener.open(parsed, options?.tls, {
      gate: this.gate,
      logger: this.logger,
      onConnection: (socket) => this.onSocket(socket),
      ...(options?.http1 && { onHttp1: options.http1 }),
    });
    if (this.isClosing) {
      listener.close();
      throw new GrpcError('CLOSED', 'the server was closed while it opened a socket');
    }
    this.listeners.push(listener);
    return bound;
  }

  close(options: { graceMs?: number } = {}): Promise<boolean> {
    this.closing ??= this.drain(options.graceMs ?? 0);
    return this.closing;
  }

  onBegin(): void {
    this.calls += 1;
  }

  onDone(): void {
    this.calls -= 1;
    this.checkIdle();
  }

  /** A connection, after TLS. */
  protected abstract onSocket(socket: Socket): void;
  /** HTTP/2 sessions that are open. */
  protected abstract readonly sessionCount: number;
  /** Asks all clients to go elsewhere. */
  protected abstract sayGoodbye(): void;
  /** Ends what is left. */
  protected abstract cutSessions(): void;

  /** Looks again whether whoever waits for the end may go on. */
  protected checkIdle(): void {
    this.onIdle?.();
  }

  private async drain(graceMs: number): Promise<boolean> {
    for (const listener of this.listeners) listener.close();
    this.gate.clear();
    this.sayGoodbye();
    const orderly = await this.idleWithin(graceMs, () => this.calls === 0);
    if (orderly) await this.idleWithin(GOODBYE_MS, () => this.sessionCount === 0);
    this.cutSessions();
    for (const listener of this.listeners) listener.destroyConnections();
    await this.idleWithin(GOODBYE_MS, () => this.gate.open === 0);
    return orderly;
  }

  /** Waits until `idle` holds, at most so long; gives whether it did. */
  private idleWithin(limitMs: number, idle: () => boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (result: boolean): void => {
        clearTimeout(timer);
        this.onIdle = undefined;
        resolve(result);
      };
      const timer = setTimeout(() => end(idle()), limitMs);
      this.onIdle = () => {
        if (idle()) end(true);
      };
      this.onIdle();
    });
  }
}
