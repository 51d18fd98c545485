/**
 * A listening socket: TCP or unix, plain or TLS, with a bound on its connections.
 *
 * In: an address, TLS settings, the number of connections that may be open at once. Out: sockets
 * that are ready for HTTP/2, one call of `onConnection` each. A connection over the bound is accepted
 * but not served until another closes, and its client waits as it would before an accept.
 *
 * Must never let waiting connections pile up: past their own bound they are closed. Must never hand
 * out a TLS connection whose client was not allowed in.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { unlink } from 'node:fs/promises';
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  type Server as TlsServer,
  type TLSSocket,
} from 'node:tls';
import { formatAddress, type ListenAddress } from '../address.js';
import { GrpcError } from '../errors.js';
import { type ServerTlsOptions } from '../tls.js';
import { type BoundAddress, type GrpcLogger } from '../transport.js';
import { chooseProtocol, tellApart } from './http-versions.js';
import { TlsMaterial } from './tls-material.js';

/** Connections that may wait for a free place. */
const CONNECTIONS_WAITING_MAX = 512;
/** How long a client may take over its TLS handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Connections that the kernel may hold for us. */
const BACKLOG = 511;

/** Counts the open connections of all listeners of a server. */
export class ConnectionGate {
  #open = 0;
  readonly #waiting: { socket: Socket; admit: () => void }[] = [];

  /** `connectionsMax` 0 means no bound. `onLeft` is told whenever a connection has closed. */
  constructor(
    private readonly connectionsMax: number,
    private readonly onLeft: () => void = () => undefined,
  ) {}

  get open(): number {
    return this.#open;
  }

  /** Calls `admit` now or when there is a place; closes the socket if too many wait. */
  enter(socket: Socket, admit: () => void): void {
    if (this.connectionsMax === 0 || this.#open < this.connectionsMax) {
      this.#admit(socket, admit);
    } else if (this.#waiting.length >= CONNECTIONS_WAITING_MAX) {
      socket.destroy();
    } else {
      const entry = { socket, admit };
      this.#waiting.push(entry);
      socket.once('close', () => {
        const at = this.#waiting.indexOf(entry);
        if (at >= 0) {
          this.#waiting.splice(at, 1);
        }
      });
    }
  }

  /** Closes whoever waits. */
  clear(): void {
    for (const { socket } of this.#waiting.splice(0)) {
      socket.destroy();
    }
  }

  #admit(socket: Socket, admit: () => void): void {
    this.#open += 1;
    socket.once('close', () => {
      this.#open -= 1;
      const next = this.#waiting.shift();
      if (next !== undefined) {
        this.#admit(next.socket, next.admit);
      }
      this.onLeft();
    });
    admit();
  }
}

export interface ListenerOptions {
  readonly gate: ConnectionGate;
  readonly logger: GrpcLogger;
  readonly onConnection: (socket: Socket) => void;
  /** Where connections go that speak HTTP/1.1; without it they are not told apart. */
  readonly onHttp1?: (socket: Socket) => void;
}

export class Listener {
  readonly #sockets = new Set<Socket>();
  #material: TlsMaterial | undefined;
  #tlsServer: TlsServer | undefined;
  /** What the TLS server was last given. */
  #context: SecureContextOptions | undefined;

  private constructor(
    private readonly server: Server,
    private readonly options: ListenerOptions,
  ) {}

  static async open(
    address: ListenAddress,
    tls: ServerTlsOptions | undefined,
    options: ListenerOptions,
  ): Promise<{ listener: Listener; bound: BoundAddress }> {
    if (address.secure !== (tls !== undefined)) {
      const text = address.secure
        ? 'needs a certificate and a key'
        : 'is not encrypted, but TLS settings were given';
      throw new GrpcError('TLS_INVALID', `${formatAddress(address)} ${text}`);
    }
    const server = createServer({ noDelay: true });
    const listener = new Listener(server, options);
    if (tls !== undefined) {
      await listener.#prepareTls(tls);
    }
    server.on('connection', (socket) => listener.#accept(socket));
    await bind(server, address);
    server.on('error', (error) => {
      options.logger.error({ err: error }, 'a connection could not be accepted');
    });
    const at = server.address();
    const port = at !== null && typeof at === 'object' ? at.port : undefined;
    return { listener, bound: { address, port, url: formatAddress(address, port) } };
  }

  /** Stops accepting. Connections that are open stay. */
  close(): void {
    this.server.close();
  }

  /** Cuts the connections that are open. */
  destroyConnections(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // Without a listener a client that resets its connection would end the process.
    socket.on('error', () => undefined);
    this.options.gate.enter(socket, () => {
      if (this.#tlsServer === undefined) {
        const { onConnection, onHttp1 } = this.options;
        if (onHttp1 === undefined) onConnection(socket);
        else tellApart(socket, onConnection, onHttp1);
      } else {
        this.#secure(socket, this.#tlsServer);
      }
    });
  }

  #secure(socket: Socket, tlsServer: TlsServer): void {
    const contextOptions = this.#material?.current();
    contextOptions
      ?.then((context) => {
        if (context !== this.#context) {
          this.#context = context;
          tlsServer.setSecureContext(context);
        }
        tlsServer.emit('connection', socket);
      })
      .catch((error: unknown) => {
        this.options.logger.error({ err: error }, 'a TLS connection could not be begun');
        socket.destroy();
      });
  }

  async #prepareTls(tls: ServerTlsOptions): Promise<void> {
    const { logger, onConnection, onHttp1 } = this.options;
    const material = await TlsMaterial.load(tls, logger);
    this.#material = material;
    this.#context = await material.current();
    this.#tlsServer = createTlsServer({
      ...this.#context,
      ...(onHttp1 ? { ALPNCallback: chooseProtocol } : { ALPNProtocols: ['h2'] }),
      requestCert: material.wantsClientCertificate,
      rejectUnauthorized: material.wantsClientCertificate,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.#tlsServer.on('tlsClientError', (error, socket) => {
      logger.info({ err: error, peer: peerName(socket) }, 'a TLS handshake failed');
    });
    this.#tlsServer.on('secureConnection', (socket) => {
      socket.on('error', () => undefined);
      const serve = socket.alpnProtocol === 'h2' ? onConnection : onHttp1;
      if (serve === undefined) {
        logger.info({ peer: peerName(socket) }, 'a TLS client does not speak HTTP/2');
        socket.destroy();
      } else if (!material.allows(socket)) {
        logger.warn({ peer: peerName(socket) }, 'client certificate authentication failed');
        socket.destroy();
      } else {
        serve(socket);
      }
    });
  }
}

/** `host:port` of the other end, `unix:` where there is none. */
export function peerName(socket: Socket | TLSSocket | undefined): string {
  const host = socket?.remoteAddress;
  if (host === undefined) {
    return 'unix:';
  }
  return host.includes(':') ? `[${host}]:${socket?.remotePort}` : `${host}:${socket?.remotePort}`;
}

async function bind(server: Server, address: ListenAddress): Promise<void> {
  const options =
    address.kind === 'tcp'
      ? { host: address.host, port: address.port, backlog: BACKLOG }
      : { path: address.path, backlog: BACKLOG };
  try {
    await listening(server, options);
  } catch (error) {
    if (address.kind === 'unix' && codeOf(error) === 'EADDRINUSE') {
      if (await isAbandoned(address.path)) {
        await unlink(address.path);
        await listening(server, options).catch((again: unknown) => {
          throw listenFailed(address, again);
        });
        return;
      }
    }
    throw listenFailed(address, error);
  }
}

function listening(server: Server, options: { backlog: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

/** Whether a unix socket is the left-over of a process that is gone. */
function isAbandoned(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error) => resolve(codeOf(error) === 'ECONNREFUSED'));
  });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function listenFailed(address: ListenAddress, error: unknown): GrpcError {
  const reason = error instanceof Error ? error.message : String(error);
  return new GrpcError('LISTEN_FAILED', `cannot listen on ${formatAddress(address)}: ${reason}`, {
    cause: error,
  });
}
