/**
 * The client over this library's own HTTP/2.
 *
 *     NativeClient -> ClientCall -> ClientPool -> ClientEndpoint -> ClientConnection -> ClientStream
 *
 * In: one address as operators write it, or several that serve the same, then calls. Out: bytes, or
 * `GrpcStatusError`. A unary call costs its objects and one promise, no timer of its own.
 */
import { parseAddress, type ListenAddress } from '../address.js';
import {
  type CallOptions,
  type GrpcClient,
  type GrpcClientOptions,
  type MessageSource,
} from '../client.js';
import { type MessageEncoding } from '../encoding/encoding.js';
import { identity } from '../encoding/identity.js';
import { findEncoding } from '../encoding/registry.js';
import { GrpcError } from '../errors.js';
import { metadataPairs } from '../metadata.js';
import { MessagePacker } from '../server/message-packing.js';
import { type MetadataPairs } from '../server/server-call.js';
import { GrpcStatusError, status } from '../status.js';
import {
  AnswerStream,
  SingleAnswer,
  type AnsweredCall,
  type AnswerSink,
} from './client-answers.js';
import { ClientCall, type CallRequest } from './client-call.js';
import { ClientPool } from './client-pool.js';
import { RequestPump } from './client-requests.js';

const NO_PAIRS: MetadataPairs = [];
const NO_OPTIONS: CallOptions = {};

type Address = ListenAddress | string;
export type ClientAddresses = Address | readonly Address[];

/** Throws GrpcError for addresses and TLS settings that cannot be. */
export function createNativeClient(
  address: ClientAddresses,
  options: GrpcClientOptions = {},
): GrpcClient {
  const several = typeof address === 'string' || 'kind' in address ? [address] : address;
  if (several.length === 0) throw new GrpcError('ADDRESS_INVALID', 'there is no address');
  const parsed = several.map((one) =>
    typeof one === 'string' ? parseAddress(one, 'address') : one,
  );
  return new NativeClient(new ClientPool(parsed, options, Math.random));
}

export class NativeClient implements GrpcClient {
  constructor(readonly pool: ClientPool) {}

  unary(path: string, request: Uint8Array, options = NO_OPTIONS): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const sink = new SingleAnswer(resolve, reject);
      this.callWithOne(path, request, options, sink, (call) => (sink.call = call));
    });
  }

  serverStream(
    path: string,
    request: Uint8Array,
    options = NO_OPTIONS,
  ): AsyncIterableIterator<Buffer, undefined> {
    return new AnswerStream((sink, begun) => {
      this.callWithOne(path, request, options, sink, begun);
    });
  }

  clientStream(path: string, requests: MessageSource, options = NO_OPTIONS): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const sink = new SingleAnswer(resolve, reject);
      this.callWithMany(path, requests, options, sink, (call) => (sink.call = call));
    });
  }

  bidi(
    path: string,
    requests: MessageSource,
    options = NO_OPTIONS,
  ): AsyncIterableIterator<Buffer, undefined> {
    return new AnswerStream((sink, begun) => {
      this.callWithMany(path, requests, options, sink, begun);
    });
  }

  waitForReady(timeoutMs: number): Promise<void> {
    return this.pool.waitForReady(timeoutMs);
  }

  reset(): void {
    this.pool.reset('the client was reset');
  }

  close(): void {
    this.pool.close();
  }

  /** Throws where the call cannot be made at all. */
  private callWithOne(
    path: string,
    message: Uint8Array,
    options: CallOptions,
    sink: AnswerSink,
    begun: (call: AnsweredCall) => void,
  ): void {
    const startedMs = performance.now();
    const encoding = encodingOf(options);
    const begin = (request: CallRequest): void => {
      const call = this.makeCall(path, encoding, request, options, sink);
      begun(call);
      call.start(startedMs);
    };
    if (encoding === identity) return begin({ kind: 'message', message });
    const packed = new MessagePacker(encoding).pack(message);
    if (!(packed instanceof Promise)) return begin({ kind: 'frame', frame: packed });
    packed
      .then((frame) => begin({ kind: 'frame', frame }))
      .catch((error: unknown) => sink.end(error, true));
  }

  private callWithMany(
    path: string,
    requests: MessageSource,
    options: CallOptions,
    sink: AnswerSink,
    begun: (call: AnsweredCall) => void,
  ): void {
    const encoding = encodingOf(options);
    const pump = new RequestPump(requests, encoding, (error) => call.fail(error));
    const call = this.makeCall(path, encoding, { kind: 'pump', pump }, options, sink);
    begun(call);
    call.start(performance.now());
  }

  private makeCall(
    path: string,
    encoding: MessageEncoding,
    request: CallRequest,
    options: CallOptions,
    sink: AnswerSink,
  ): ClientCall {
    const pairs = options.metadata ? [...metadataPairs(options.metadata)] : NO_PAIRS;
    return new ClientCall(this.pool, path, encoding, pairs, request, options, sink);
  }
}

function encodingOf({ encoding }: CallOptions): MessageEncoding {
  if (encoding === undefined) return identity;
  const found = findEncoding(encoding);
  if (found) return found;
  const text = `there is no message encoding "${encoding}"`;
  throw new GrpcStatusError(status.UNIMPLEMENTED, text);
}
