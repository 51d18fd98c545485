/**
 * Keeps hold of the sockets of one channel, so that they can be cut.
 *
 * In: each TCP connection that grpc-js makes for the channel, before TLS. Out: the same, remembered
 * until it closes. grpc-js itself ends a connection by saying goodbye, waits for the other side
 * without bound, and cannot give up one whose HTTP/2 never came to life.
 *
 * Must never hand out a connection after the cut.
 */
import { ChannelCredentials } from '@grpc/grpc-js';
import { type Socket } from 'node:net';

type ConnectorArguments = Parameters<ChannelCredentials['_createSecureConnector']>;
type SecureConnector = ReturnType<ChannelCredentials['_createSecureConnector']>;

export class OwnConnections extends ChannelCredentials {
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  constructor(private readonly inner: ChannelCredentials) {
    super();
  }

  /** Ends all connections, those that are still being made too. Idempotent. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  override _isSecure(): boolean {
    return this.inner._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(...given: ConnectorArguments): SecureConnector {
    const connector = this.inner._createSecureConnector(...given);
    return {
      connect: (socket) => {
        this.#keep(socket);
        return connector.connect(socket);
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    };
  }

  #keep(socket: Socket): void {
    if (this.#isCut) {
      socket.destroy();
      throw new Error('the connection came after its client was closed');
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
