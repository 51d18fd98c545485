/**
 * The two servers of the cross test: this library's own, and a plain one of grpc-js. Both do what
 * the metadata of a call asks for.
 */
import * as grpc from '@grpc/grpc-js';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNativeServer } from '../../src/native/server.js';
import { GrpcStatusError, toStatusCode } from '../../src/status.js';
import { type CallContext } from '../../src/transport.js';
import { CROSS_BYTES_MAX, digestOf } from './random-calls.js';

export const CROSS_SERVICE = 'test.v1.Cross';
export const CROSS_PATH = {
  unary: `/${CROSS_SERVICE}/Unary`,
  'server-stream': `/${CROSS_SERVICE}/Expand`,
  'client-stream': `/${CROSS_SERVICE}/Collect`,
  bidi: `/${CROSS_SERVICE}/Chat`,
} as const;

export interface CrossServer {
  readonly port: number;
  close(): Promise<void>;
}

/** What a call is asked to do, from its metadata. */
interface Wish {
  readonly ending: string;
  readonly answers: number;
  readonly code: number;
  readonly text: string;
  readonly tag: Buffer;
}

/** Longer than any call waits. */
const SILENCE_MS = 10_000;
const OVERSIZE = Buffer.alloc(CROSS_BYTES_MAX + 1);

function wishFrom(get: (name: string) => string | Buffer | undefined): Wish {
  return {
    ending: String(get('x-ending')),
    answers: Number(get('x-answers')),
    code: Number(get('x-code')),
    text: Buffer.from(String(get('x-text')), 'hex').toString(),
    tag: Buffer.from((get('x-tag-bin') as Buffer | undefined) ?? Buffer.alloc(0)),
  };
}

function isSilent({ ending }: Wish): boolean {
  return ending === 'deadline' || ending === 'silent' || ending === 'cancel';
}

export async function nativeCrossServer(): Promise<CrossServer> {
  const ignore = (): void => undefined;
  const logger = { error: ignore, warn: ignore, info: ignore };
  const server = createNativeServer({ logger, receiveBytesMax: CROSS_BYTES_MAX });
  const begin = async (call: CallContext): Promise<Wish> => {
    const wish = wishFrom((name) => call.metadata.getAll(name)[0]);
    if (isSilent(wish)) await sleep(SILENCE_MS, undefined, { signal: call.signal });
    if (wish.ending === 'error') {
      throw new GrpcStatusError(toStatusCode(wish.code), wish.text, { 'x-tag-bin': wish.tag });
    }
    call.setTrailer('x-tag-bin', wish.tag);
    return wish;
  };
  server.register(CROSS_PATH.unary, 'unary', async (request, call) => {
    const { ending } = await begin(call);
    return ending === 'too-large' ? OVERSIZE : request;
  });
  server.register(CROSS_PATH['server-stream'], 'server-stream', async (request, call, sink) => {
    const { ending, answers } = await begin(call);
    if (ending === 'too-large') await sink.write(OVERSIZE);
    for (let count = 0; count < answers; count++) await sink.write(request);
  });
  server.register(CROSS_PATH['client-stream'], 'client-stream', async (requests, call) => {
    const { ending } = await begin(call);
    const parts: Buffer[] = [];
    for await (const part of requests) parts.push(part);
    return ending === 'too-large' ? OVERSIZE : Buffer.from(digestOf(parts));
  });
  server.register(CROSS_PATH.bidi, 'bidi', async (requests, call, sink) => {
    const { ending } = await begin(call);
    if (ending === 'too-large') await sink.write(OVERSIZE);
    for await (const request of requests) await sink.write(request);
  });
  const { port = 0 } = await server.listen('http://127.0.0.1:0');
  return { port, close: async () => void (await server.close()) };
}

type Bytes = Buffer;
type AnyCall = grpc.ServerUnaryCall<Bytes, Bytes> &
  grpc.ServerWritableStream<Bytes, Bytes> &
  grpc.ServerReadableStream<Bytes, Bytes> &
  grpc.ServerDuplexStream<Bytes, Bytes>;

function definition(): grpc.ServiceDefinition {
  const same = (bytes: Bytes): Bytes => bytes;
  const method = (path: string, requestStream: boolean, responseStream: boolean) => ({
    path,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  });
  return {
    Unary: method(CROSS_PATH.unary, false, false),
    Expand: method(CROSS_PATH['server-stream'], false, true),
    Collect: method(CROSS_PATH['client-stream'], true, false),
    Chat: method(CROSS_PATH.bidi, true, true),
  };
}

/** Undefined when nothing more is to be done; else the trailers of the answer. */
function beginGrpcJs(
  call: AnyCall,
  fail: (error: Partial<grpc.StatusObject>) => void,
): { wish: Wish; trailers: grpc.Metadata } | undefined {
  const wish = wishFrom((name) => call.metadata.get(name)[0]);
  const trailers = new grpc.Metadata();
  trailers.set('x-tag-bin', wish.tag);
  if (isSilent(wish)) return undefined;
  if (wish.ending === 'error') {
    fail({ code: wish.code, details: wish.text, metadata: trailers });
    return undefined;
  }
  return { wish, trailers };
}

type Done = grpc.sendUnaryData<Bytes>;

const handlers = {
  Unary(call: AnyCall, done: Done): void {
    const begun = beginGrpcJs(call, done);
    if (!begun) return;
    done(null, begun.wish.ending === 'too-large' ? OVERSIZE : call.request, begun.trailers);
  },
  Expand(call: AnyCall): void {
    const begun = beginGrpcJs(call, (error) => call.emit('error', error));
    if (!begun) return;
    if (begun.wish.ending === 'too-large') call.write(OVERSIZE);
    for (let count = 0; count < begun.wish.answers; count++) call.write(call.request);
    call.end(begun.trailers);
  },
  Collect(call: AnyCall, done: Done): void {
    const begun = beginGrpcJs(call, done);
    if (!begun) return void call.resume();
    const parts: Buffer[] = [];
    call.on('data', (part: Buffer) => parts.push(part));
    call.on('end', () => {
      const answer = begun.wish.ending === 'too-large' ? OVERSIZE : Buffer.from(digestOf(parts));
      done(null, answer, begun.trailers);
    });
  },
  Chat(call: AnyCall): void {
    const begun = beginGrpcJs(call, (error) => call.emit('error', error));
    if (!begun) return void call.resume();
    if (begun.wish.ending === 'too-large') call.write(OVERSIZE);
    call.on('data', (part: Buffer) => call.write(part));
    call.on('end', () => call.end(begun.trailers));
  },
};

export async function grpcJsCrossServer(): Promise<CrossServer> {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': CROSS_BYTES_MAX });
  server.addService(definition(), handlers as unknown as grpc.UntypedServiceImplementation);
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure();
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return {
    port,
    close: () => {
      server.forceShutdown();
      return Promise.resolve();
    },
  };
}
