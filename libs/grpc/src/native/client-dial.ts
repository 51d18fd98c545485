/**
 * Sockets to one address: TCP, unix sockets, and TLS over either.
 *
 * In: an address and whom to trust. Out: sockets that are being connected, and whether one that is
 * connected speaks HTTP/2. Files are read once, where a user can be told of what is wrong with them.
 */
import { readFileSync } from 'node:fs';
import { connect, isIP, type Socket } from 'node:net';
import {
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  TLSSocket,
  type ConnectionOptions,
} from 'node:tls';
import { formatAddress, type ListenAddress } from '../address.js';
import { type ClientTlsOptions } from '../client.js';
import { GrpcError } from '../errors.js';

const ALPN = 'h2';

export class Dialer {
  readonly scheme: 'http' | 'https';
  /** What is said to the server of whom it is thought to be. */
  readonly authority: string;
  /** When a socket is of use. */
  readonly readyEvent: 'connect' | 'secureConnect';
  private readonly tls: ConnectionOptions | undefined;

  /** Throws GrpcError TLS_INVALID. */
  constructor(
    private readonly address: ListenAddress,
    tls: ClientTlsOptions | undefined,
  ) {
    this.scheme = address.secure ? 'https' : 'http';
    this.readyEvent = address.secure ? 'secureConnect' : 'connect';
    const named = address.kind === 'unix' ? 'localhost' : formatAddress(address).split('//')[1];
    this.authority = tls?.serverName ?? named ?? '';
    this.tls = tlsOptions(address, tls);
  }

  get name(): string {
    return formatAddress(this.address);
  }

  dial(): Socket {
    const { address } = this;
    const to =
      address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
    return this.tls === undefined ? connect(to) : connectTls({ ...to, ...this.tls });
  }

  /** Why a connected socket is of no use; undefined if it is. */
  whyUseless(socket: Socket): Error | undefined {
    if (!(socket instanceof TLSSocket) || socket.alpnProtocol === ALPN) return undefined;
    return new Error(`${this.name} does not speak HTTP/2`);
  }
}

function tlsOptions(
  address: ListenAddress,
  tls: ClientTlsOptions | undefined,
): ConnectionOptions | undefined {
  if (!address.secure) {
    if (tls === undefined) return undefined;
    const text = `${formatAddress(address)} is not encrypted, but TLS settings were given`;
    throw new GrpcError('TLS_INVALID', text);
  }
  const host = tls?.serverName ?? (address.kind === 'tcp' ? address.host : 'localhost');
  return {
    secureContext: secureContext(tls ?? {}),
    ALPNProtocols: [ALPN],
    checkServerIdentity: (_host, certificate) => checkServerIdentity(host, certificate),
    ...(tls?.insecureSkipVerify === true && { rejectUnauthorized: false }),
    // Only a name may be asked for.
    ...(isIP(host) === 0 && { servername: host }),
  };
}

function secureContext(tls: ClientTlsOptions): ReturnType<typeof createSecureContext> {
  const ca = readIfNamed(tls.caFile);
  const cert = readIfNamed(tls.certFile);
  const key = readIfNamed(tls.keyFile);
  if ((cert === undefined) !== (key === undefined)) {
    throw new GrpcError('TLS_INVALID', 'a client certificate needs both a certificate and a key');
  }
  try {
    return createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
  } catch (error) {
    throw new GrpcError('TLS_INVALID', 'the TLS files cannot be used', { cause: error });
  }
}

function readIfNamed(file: string | undefined): Buffer | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file);
  } catch (error) {
    throw new GrpcError('TLS_INVALID', `${file} cannot be read`, { cause: error });
  }
}
