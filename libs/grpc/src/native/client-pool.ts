/**
 * The connections of a client, and the calls that wait for one.
 *
 *     call --> an address in turn with room --> its connection
 *          --> waiting --room, a connection--> ...
 *                      --no hope--> Unavailable, unless the call waits for ready
 *
 * Connections are made when calls need them. Must never pass over an address that works for one that
 * does not, nor hold more calls than its bound.
 */
import { type ListenAddress } from '../address.js';
import { CLIENT_RECEIVE_BYTES_MAX_DEFAULT, type GrpcClientOptions } from '../client.js';
import { GrpcError } from '../errors.js';
import { metadataPairs } from '../metadata.js';
import { GrpcStatusError, status } from '../status.js';
import { type CallHost, type ClientCall } from './client-call.js';
import { type ClientConnection } from './client-connection.js';
import { Deadlines } from './client-deadlines.js';
import { ClientEndpoint, type EndpointOwner } from './client-endpoint.js';
import { CALLS_WAITING_MAX, LOOK_MS } from './client-limits.js';
import { noConnection } from './client-status.js';

/** No keepalive is looked at less often than a quarter of its own times. */
const LOOKS_PER_KEEPALIVE = 4;
const LOOK_MS_MIN = 10;

interface ReadyWaiter {
  resolve(): void;
  reject(error: Error): void;
}

export class ClientPool implements CallHost, EndpointOwner {
  readonly receiveBytesMax: number;
  readonly deadlines = new Deadlines();
  private readonly endpoints: readonly ClientEndpoint[];
  private readonly waiting = new Set<ClientCall>();
  private readonly readyWaiters = new Set<ReadyWaiter>();
  private turn = 0;
  private retry: NodeJS.Timeout | undefined;
  private looking: NodeJS.Timeout | undefined;
  private isClosed = false;
  private isCutting = false;

  constructor(
    addresses: readonly ListenAddress[],
    private readonly options: GrpcClientOptions,
    random: () => number,
  ) {
    this.receiveBytesMax = options.receiveBytesMax ?? CLIENT_RECEIVE_BYTES_MAX_DEFAULT;
    const metadata = [...metadataPairs(options.metadata ?? {})];
    this.endpoints = addresses.map(
      (address) => new ClientEndpoint(address, options, metadata, random, this),
    );
    // Clients set out from different addresses.
    this.turn = Math.floor(random() * addresses.length);
  }

  /** Connections that are open, and calls and timers that wait. */
  get usage(): { connections: number; waiting: number; deadlines: number } {
    return {
      connections: this.endpoints.reduce((sum, { connections }) => sum + connections, 0),
      waiting: this.waiting.size,
      deadlines: this.deadlines.size,
    };
  }

  // ---- calls -------------------------------------------------------------------------------------

  submit(call: ClientCall): void {
    if (this.isClosed) return call.fail(new GrpcError('CLOSED', 'Channel has been shut down'));
    const connection = this.waiting.size === 0 ? this.pick() : undefined;
    if (connection) return call.openOn(connection);
    if (this.waiting.size >= CALLS_WAITING_MAX) {
      const text = `${CALLS_WAITING_MAX} calls wait for a connection already`;
      return call.fail(new GrpcStatusError(status.RESOURCE_EXHAUSTED, text));
    }
    this.waiting.add(call);
    this.onChange();
  }

  withdraw(call: ClientCall): void {
    this.waiting.delete(call);
  }

  /** The next connection in turn that has room; addresses without one are connected meanwhile. */
  private pick(): ClientConnection | undefined {
    const { endpoints } = this;
    const count = endpoints.length;
    for (let offset = 0; offset < count; offset++) {
      const at = (this.turn + offset) % count;
      const endpoint = endpoints[at];
      if (endpoint === undefined) continue;
      const { available } = endpoint;
      if (available) {
        this.turn = (at + 1) % count;
        return available;
      }
      if (!endpoint.isReady) this.connect(endpoint);
    }
    return undefined;
  }

  private connect(endpoint: ClientEndpoint): void {
    this.looking ??= setInterval(() => this.look(), this.lookMs()).unref();
    endpoint.connect(performance.now());
  }

  onChange(): void {
    if (this.isCutting) return;
    while (this.waiting.size > 0) {
      const connection = this.pick();
      if (connection === undefined) break;
      const [call] = this.waiting;
      if (call === undefined) break;
      this.waiting.delete(call);
      call.openOn(connection);
    }
    if (this.readyWaiters.size > 0) this.tellReady();
    if (this.waiting.size > 0 || this.readyWaiters.size > 0) this.hope();
  }

  /** Connects for those who wait; without any hope, those who do not want to wait fail. */
  private hope(): void {
    for (const endpoint of this.endpoints) this.connect(endpoint);
    if (this.endpoints.some(({ isReady, isConnecting }) => isReady || isConnecting)) return;
    for (const call of [...this.waiting]) {
      if (call.waitsForReady) continue;
      this.waiting.delete(call);
      call.fail(noConnection(this.lastError));
    }
    if (this.waiting.size > 0 || this.readyWaiters.size > 0) this.retryLater();
  }

  private get lastError(): Error | undefined {
    return this.endpoints.find(({ lastError }) => lastError !== undefined)?.lastError;
  }

  private retryLater(): void {
    if (this.retry !== undefined) return;
    const nowMs = performance.now();
    const waitMs = Math.min(...this.endpoints.map((endpoint) => endpoint.restsMs(nowMs)));
    this.retry = setTimeout(() => {
      this.retry = undefined;
      this.onChange();
    }, Math.ceil(waitMs));
  }

  // ---- readiness ---------------------------------------------------------------------------------

  waitForReady(timeoutMs: number): Promise<void> {
    if (this.isClosed) return Promise.reject(new GrpcError('CLOSED', 'Channel has been shut down'));
    return new Promise((resolve, reject) => {
      const waiter: ReadyWaiter = {
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
        reject: (error) => {
          clearTimeout(timer);
          this.readyWaiters.delete(waiter);
          reject(error);
        },
      };
      const timer = setTimeout(() => {
        const names = this.endpoints.map(({ name }) => name).join(', ');
        const text = `${names} did not answer in ${timeoutMs} ms`;
        const cause = this.lastError;
        waiter.reject(new GrpcStatusError(status.UNAVAILABLE, text, undefined, cause && { cause }));
      }, timeoutMs);
      this.readyWaiters.add(waiter);
      this.onChange();
    });
  }

  private tellReady(): void {
    if (!this.endpoints.some(({ isReady }) => isReady)) return;
    for (const waiter of this.readyWaiters) waiter.resolve();
    this.readyWaiters.clear();
  }

  // ---- time and ends -----------------------------------------------------------------------------

  private look(): void {
    const nowMs = performance.now();
    for (const endpoint of this.endpoints) endpoint.look(nowMs);
    if (this.endpoints.some(({ connections, isConnecting }) => connections > 0 || isConnecting)) {
      return;
    }
    clearInterval(this.looking);
    this.looking = undefined;
  }

  private lookMs(): number {
    const { keepalive } = this.options;
    if (keepalive === undefined) return LOOK_MS;
    const shortest = Math.min(keepalive.timeMs, keepalive.timeoutMs) / LOOKS_PER_KEEPALIVE;
    return Math.max(Math.min(shortest, LOOK_MS), LOOK_MS_MIN);
  }

  /** Ends all connections and fails all calls; later ones connect afresh. */
  reset(why: string): void {
    const error = new Error(why);
    this.isCutting = true;
    clearTimeout(this.retry);
    this.retry = undefined;
    for (const endpoint of this.endpoints) endpoint.cut(error);
    this.isCutting = false;
    for (const call of [...this.waiting]) {
      this.waiting.delete(call);
      call.fail(noConnection(error));
    }
    for (const waiter of [...this.readyWaiters]) waiter.reject(noConnection(error));
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.reset('the client was closed');
    clearInterval(this.looking);
    this.looking = undefined;
    this.deadlines.clear();
  }
}
