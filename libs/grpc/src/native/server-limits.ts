/**
 * The options of a server as its connections need them: no limit is Infinity, and defaults are in.
 *
 * What no option sets comes from `http2/limits.ts`; it is here so that a test need not wait a minute.
 */
import {
  ANSWER_STALL_MS,
  CONCURRENT_STREAMS_MAX,
  HANDSHAKE_TIMEOUT_MS,
  INBOUND_BYTES_MAX,
  OUTBOUND_BYTES_MAX,
  READER_STALL_MS,
  REQUEST_STALL_MS,
  WRITE_STALL_MS,
} from '../http2/limits.js';
import { type KeepaliveOptions } from '../keepalive.js';
import { KEEPALIVE_MIN_TIME_MS_DEFAULT } from '../server/server-base.js';
import { type GrpcServerOptions } from '../transport.js';

export interface ConnectionLimits {
  readonly concurrentStreamsMax: number;
  readonly keepaliveMinTimeMs: number;
  readonly keepalive: KeepaliveOptions | undefined;
  readonly ageMaxMs: number;
  readonly ageGraceMs: number;
  readonly handshakeTimeoutMs: number;
  readonly requestStallMs: number;
  readonly writeStallMs: number;
  readonly answerStallMs: number;
  readonly readerStallMs: number;
  readonly inboundBytesMax: number;
  readonly outboundBytesMax: number;
}

/** Ages differ by this share, so that connections made at once do not all end at once. */
const AGE_JITTER = 0.1;

export function connectionLimits(
  options: GrpcServerOptions,
  random: () => number,
): ConnectionLimits {
  const { concurrentStreamsMax = 0, connectionAgeMaxMs = 0 } = options;
  const jitter = 1 + (random() * 2 - 1) * AGE_JITTER;
  return {
    concurrentStreamsMax: concurrentStreamsMax > 0 ? concurrentStreamsMax : CONCURRENT_STREAMS_MAX,
    keepaliveMinTimeMs: options.keepaliveMinTimeMs ?? KEEPALIVE_MIN_TIME_MS_DEFAULT,
    keepalive: options.keepalive,
    ageMaxMs: connectionAgeMaxMs > 0 ? connectionAgeMaxMs * jitter : Infinity,
    ageGraceMs: options.connectionAgeGraceMs ?? 0,
    handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
    requestStallMs: REQUEST_STALL_MS,
    writeStallMs: WRITE_STALL_MS,
    answerStallMs: ANSWER_STALL_MS,
    readerStallMs: READER_STALL_MS,
    inboundBytesMax: INBOUND_BYTES_MAX,
    outboundBytesMax: OUTBOUND_BYTES_MAX,
  };
}
