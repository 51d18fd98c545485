/**
 * The client over `@grpc/grpc-js`.
 *
 * In: an address as operators write it, then calls. Out: bytes, or `GrpcStatusError`.
 *
 * Must never keep a call alive whose caller has left, nor read ahead of a slow caller without bound.
 */
import {
  Client,
  compressionAlgorithms,
  credentials,
  Metadata,
  type CallOptions as GrpcJsCallOptions,
  type ChannelCredentials,
  type ClientOptions,
  type ServiceError,
} from '@grpc/grpc-js';
import { readFileSync } from 'node:fs';
import { formatAddress, parseAddress, type ListenAddress } from '../address.js';
import {
  CLIENT_RECEIVE_BYTES_MAX_DEFAULT,
  type CallOptions,
  type ClientTlsOptions,
  type GrpcClient,
  type GrpcClientOptions,
  type MessageSource,
} from '../client.js';
import { asBuffer } from '../encoding/encoding.js';
import { GrpcError } from '../errors.js';
import { metadataPairs, type ReceivedMetadata } from '../metadata.js';
import { GrpcStatusError, status, toStatusCode } from '../status.js';
import { ReceivedGrpcJsMetadata } from './metadata.js';
import { OwnConnections } from './own-connections.js';
import { writeMessages } from './write-messages.js';

/** What all four kinds of call objects can do. */
interface OpenCall {
  cancel(): void;
  on(event: 'metadata', listener: (metadata: Metadata) => void): unknown;
  on(event: 'status', listener: (status: { metadata: Metadata }) => void): unknown;
}

/** A client of grpc-js, and the way to end it. */
interface Channel {
  readonly client: Client;
  readonly connections: OwnConnections;
}

const GZIP = compressionAlgorithms.gzip;

export function createGrpcJsClient(
  address: ListenAddress | string,
  options: GrpcClientOptions = {},
): GrpcClient {
  const parsed = typeof address === 'string' ? parseAddress(address, 'address') : address;
  return new GrpcJsClient(parsed, options);
}

class GrpcJsClient implements GrpcClient {
  readonly #target: string;
  readonly #credentials: ChannelCredentials;
  #plain: Channel;
  #gzip: Channel | undefined;
  #closed = false;

  constructor(
    private readonly address: ListenAddress,
    private readonly options: GrpcClientOptions,
  ) {
    const target =
      address.kind === 'unix' ? `unix:${address.path}` : formatAddress(address).split('//')[1];
    this.#target = target ?? '';
    this.#credentials = makeCredentials(address, options.tls);
    this.#plain = this.#makeChannel({});
  }

  unary(path: string, request: Uint8Array, options: CallOptions = {}): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const call = this.#client(options).makeUnaryRequest<Uint8Array, Buffer>(
        path,
        asBuffer,
        sameBytes,
        request,
        this.#metadata(options),
        callOptions(options),
        settle(resolve, reject),
      );
      watch(call, options);
    });
  }

  async *serverStream(
    path: string,
    request: Uint8Array,
    options: CallOptions = {},
  ): AsyncGenerator<Buffer, void, undefined> {
    const call = this.#client(options).makeServerStreamRequest<Uint8Array, Buffer>(
      path,
      asBuffer,
      sameBytes,
      request,
      this.#metadata(options),
      callOptions(options),
    );
    watch(call, options);
    yield* readMessages(call);
  }

  clientStream(path: string, requests: MessageSource, options: CallOptions = {}): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const call = this.#client(options).makeClientStreamRequest<Uint8Array, Buffer>(
        path,
        asBuffer,
        sameBytes,
        this.#metadata(options),
        callOptions(options),
        settle(resolve, reject),
      );
      watch(call, options);
      writeMessages(call, requests).catch((error: unknown) => {
        reject(toError(error));
        call.cancel();
      });
    });
  }

  async *bidi(
    path: string,
    requests: MessageSource,
    options: CallOptions = {},
  ): AsyncGenerator<Buffer, void, undefined> {
    const call = this.#client(options).makeBidiStreamRequest<Uint8Array, Buffer>(
      path,
      asBuffer,
      sameBytes,
      this.#metadata(options),
      callOptions(options),
    );
    watch(call, options);
    let failure: Error | undefined;
    writeMessages(call, requests).catch((error: unknown) => {
      failure = toError(error);
      call.cancel();
    });
    try {
      yield* readMessages(call);
    } catch (error) {
      throw failure ?? error;
    }
  }

  waitForReady(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#plain.client.waitForReady(Date.now() + timeoutMs, (error) => {
        if (error === undefined) {
          resolve();
        } else {
          const text = `${formatAddress(this.address)} did not answer in ${timeoutMs} ms`;
          reject(new GrpcStatusError(status.UNAVAILABLE, text, undefined, { cause: error }));
        }
      });
    });
  }

  reset(): void {
    if (this.#closed) {
      return;
    }
    this.#end();
    this.#plain = this.#makeChannel({});
    this.#gzip = undefined;
  }

  close(): void {
    this.#closed = true;
    this.#end();
  }

  #end(): void {
    for (const channel of [this.#plain, this.#gzip]) {
      channel?.client.close();
      channel?.connections.cut();
    }
  }

  #makeChannel(extra: ClientOptions): Channel {
    const connections = new OwnConnections(this.#credentials);
    const options = { ...channelOptions(this.options), ...extra };
    return { client: new Client(this.#target, connections, options), connections };
  }

  #client(options: CallOptions): Client {
    const { encoding = 'identity' } = options;
    if (encoding === 'identity') {
      return this.#plain.client;
    }
    if (encoding !== 'gzip') {
      const text = `the client over grpc-js cannot pack messages with ${encoding}`;
      throw new GrpcStatusError(status.UNIMPLEMENTED, text);
    }
    // grpc-js chooses the encoding by channel, not by call.
    this.#gzip ??= this.#makeChannel({ 'grpc.default_compression_algorithm': GZIP });
    return this.#gzip.client;
  }

  #metadata(options: CallOptions): Metadata {
    const metadata = new Metadata({ waitForReady: options.waitForReady === true });
    for (const entries of [this.options.metadata, options.metadata]) {
      for (const [name, value] of metadataPairs(entries ?? {})) {
        metadata.add(name, value);
      }
    }
    return metadata;
  }
}

function channelOptions(options: GrpcClientOptions): ClientOptions {
  const { receiveBytesMax, reconnectMinMs, reconnectMaxMs, keepalive, tls } = options;
  return {
    'grpc.max_receive_message_length': receiveBytesMax ?? CLIENT_RECEIVE_BYTES_MAX_DEFAULT,
    'grpc.max_send_message_length': -1,
    'grpc.enable_channelz': 0,
    // Connections are never shared: ending those of one client ends nobody else's.
    'grpc.use_local_subchannel_pool': 1,
    ...(reconnectMinMs !== undefined && { 'grpc.initial_reconnect_backoff_ms': reconnectMinMs }),
    ...(reconnectMaxMs !== undefined && { 'grpc.max_reconnect_backoff_ms': reconnectMaxMs }),
    ...(keepalive && {
      'grpc.keepalive_time_ms': keepalive.timeMs,
      'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
      'grpc.keepalive_permit_without_calls': 1,
    }),
    ...(tls?.serverName !== undefined && { 'grpc.ssl_target_name_override': tls.serverName }),
  };
}

function makeCredentials(
  address: ListenAddress,
  tls: ClientTlsOptions | undefined,
): ChannelCredentials {
  if (!address.secure) {
    if (tls !== undefined) {
      const text = `${formatAddress(address)} is not encrypted, but TLS settings were given`;
      throw new GrpcError('TLS_INVALID', text);
    }
    return credentials.createInsecure();
  }
  const read = (file: string | undefined): Buffer | null => {
    try {
      return file === undefined ? null : readFileSync(file);
    } catch (error) {
      throw new GrpcError('TLS_INVALID', `${file} cannot be read`, { cause: error });
    }
  };
  const verify = tls?.insecureSkipVerify === true ? { rejectUnauthorized: false } : {};
  return credentials.createSsl(read(tls?.caFile), read(tls?.keyFile), read(tls?.certFile), verify);
}

function callOptions(options: CallOptions): GrpcJsCallOptions {
  return options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
}

function sameBytes(bytes: Buffer): Buffer {
  return bytes;
}

function settle(
  resolve: (message: Buffer) => void,
  reject: (error: Error) => void,
): (error: ServiceError | null, message?: Buffer) => void {
  return (error, message) => {
    if (error !== null) {
      reject(toError(error));
    } else if (message === undefined) {
      reject(new GrpcStatusError(status.INTERNAL, 'the server sent no message'));
    } else {
      resolve(message);
    }
  };
}

/**
 * What grpc-js says when a connection ends under a call, as it does when a server is killed: nobody
 * answered, which is no fault inside of anything.
 */
const CUT_OFF = /^Received RST_STREAM with code 0 /;

/** A failed call as `GrpcStatusError`; anything else as it is. */
function toError(error: unknown): Error {
  if (error instanceof Error && 'code' in error && 'details' in error) {
    const { code, details, metadata } = error as ServiceError;
    const told = toStatusCode(code);
    const isCutOff = told === status.INTERNAL && CUT_OFF.test(details);
    const known = isCutOff ? status.UNAVAILABLE : told;
    return new GrpcStatusError(known, details, entriesOf(metadata), { cause: error });
  }
  return error instanceof Error ? error : new Error(String(error));
}

function entriesOf(metadata: Metadata | undefined): Record<string, (string | Buffer)[]> {
  const received: ReceivedMetadata = new ReceivedGrpcJsMetadata(metadata ?? new Metadata());
  return Object.fromEntries(received.names().map((name) => [name, [...received.getAll(name)]]));
}

function watch(call: OpenCall, options: CallOptions): void {
  const { signal, onHeaders, onTrailers } = options;
  if (onHeaders !== undefined) {
    call.on('metadata', (metadata) => onHeaders(new ReceivedGrpcJsMetadata(metadata)));
  }
  const cancel = (): void => call.cancel();
  call.on('status', ({ metadata }) => {
    signal?.removeEventListener('abort', cancel);
    onTrailers?.(new ReceivedGrpcJsMetadata(metadata));
  });
  if (signal?.aborted === true) {
    cancel();
  } else {
    signal?.addEventListener('abort', cancel, { once: true });
  }
}

/** The messages of a call; leaving early cancels it. */
async function* readMessages(
  call: AsyncIterable<Buffer> & { cancel(): void },
): AsyncGenerator<Buffer, void, undefined> {
  let ended = false;
  try {
    for await (const message of call) {
      yield message;
    }
    ended = true;
  } catch (error) {
    ended = true;
    throw toError(error);
  } finally {
    if (!ended) {
      call.cancel();
    }
  }
}
