/**
 * The client side of gRPC as the rest of the project sees it: message bytes out, message bytes in.
 *
 * In: a method path, bytes, a deadline. Out: bytes, or a `GrpcStatusError` with what the server said.
 *
 * Must never mention a product, a message type, or the library that implements it.
 */
import { type KeepaliveOptions } from './keepalive.js';
import { type MetadataEntries, type ReceivedMetadata } from './metadata.js';

/** Largest answer that a client takes unless told otherwise. */
export const CLIENT_RECEIVE_BYTES_MAX_DEFAULT = 64 * 1024 * 1024;

/** How a client proves who it is, and whom it trusts. File names of PEM files. */
export interface ClientTlsOptions {
  /** Authorities to trust instead of those of the system. */
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** The name to look for in the server's certificate, where it is not that of the address. */
  readonly serverName?: string;
  /** Takes whatever certificate the server has: encrypted, but to whom nobody knows. */
  readonly insecureSkipVerify?: boolean;
}

export type ClientTransport = 'native' | 'grpc-js';

export interface GrpcClientOptions {
  /** For `https://` and `unixs://`. Without it the authorities of the system are trusted. */
  readonly tls?: ClientTlsOptions;
  /** Largest answer, unpacked. Default 64 MiB. */
  readonly receiveBytesMax?: number;
  /** Sent with every call. */
  readonly metadata?: MetadataEntries;
  /** First pause before a broken connection is made again. Default 1 s. */
  readonly reconnectMinMs?: number;
  /** Longest such pause; it doubles each time. Default 2 min. */
  readonly reconnectMaxMs?: number;
  /** Which implementation `createGrpcClient` takes. Default `native`. */
  readonly transport?: ClientTransport;
  /** How it is found out that the other end has gone without a word. Default: not at all. */
  readonly keepalive?: KeepaliveOptions;
}

export interface CallOptions {
  /** How long to wait for the whole call. Default: for ever. */
  readonly deadlineMs?: number;
  readonly metadata?: MetadataEntries;
  /** Packs requests. Default `identity`. The client over grpc-js has the first two alone. */
  readonly encoding?: 'identity' | 'gzip' | 'snappy' | 'zstd';
  /** Waits for the server to come up instead of failing at once. */
  readonly waitForReady?: boolean;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
  /** Told the headers of the answer. */
  readonly onHeaders?: (metadata: ReceivedMetadata) => void;
  /** Told the trailers, after success as after an error that the server sent. */
  readonly onTrailers?: (metadata: ReceivedMetadata) => void;
}

export type MessageSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface GrpcClient {
  unary(path: string, request: Uint8Array, options?: CallOptions): Promise<Buffer>;
  /** Leaving the iteration early cancels the call; not reading holds the server back. */
  serverStream(path: string, request: Uint8Array, options?: CallOptions): AsyncIterable<Buffer>;
  clientStream(path: string, requests: MessageSource, options?: CallOptions): Promise<Buffer>;
  bidi(path: string, requests: MessageSource, options?: CallOptions): AsyncIterable<Buffer>;
  /** Resolves when there is a connection; rejects with Unavailable after the time given. */
  waitForReady(timeoutMs: number): Promise<void>;
  /** Ends the connections at once, and calls still open fail; later calls connect afresh. */
  reset(): void;
  /** Ends the connections at once; calls still open fail. Idempotent. */
  close(): void;
}
