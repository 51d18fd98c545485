/**
 * The header blocks that a server sends: headers, trailers, and both in one for an answer without a
 * message.
 *
 * The first answer of a connection teaches the other end the usual fields; from then on the block of
 * a usual answer is a few bytes that are kept and copied.
 */
import { ACCEPTED_ENCODINGS } from '../encoding/registry.js';
import { type HpackEncoder } from '../http2/hpack-encoder.js';
import { encodeStatusMessage, toWellFormed } from '../server/request-headers.js';
import { type MetadataPairs } from '../server/server-call.js';
import { status, type StatusCode } from '../status.js';

const METHOD_NOT_ALLOWED = 405;
const CONTENT_TYPE = 'application/grpc';

interface Kept {
  readonly block: Buffer;
  readonly version: number;
}

export class ResponseBlocks {
  /** By the encoding of the messages. */
  private readonly headersKept = new Map<string, Kept>();
  private okKept: Kept | undefined;

  constructor(private readonly encoder: HpackEncoder) {}

  /** Blocks are views that the next one overwrites. */
  headers(encoding: string, pairs: MetadataPairs): Buffer {
    if (pairs.length > 0) return this.encodeHeaders(encoding, pairs);
    const kept = this.headersKept.get(encoding);
    if (kept?.version === this.encoder.version) return kept.block;
    const { version } = this.encoder;
    const block = this.encodeHeaders(encoding, pairs);
    if (version === this.encoder.version) {
      this.headersKept.set(encoding, { block: Buffer.from(block), version });
    }
    return block;
  }

  trailers(code: StatusCode, message: string, pairs: MetadataPairs): Buffer {
    const isUsual = code === status.OK && message === '' && pairs.length === 0;
    if (isUsual && this.okKept?.version === this.encoder.version) return this.okKept.block;
    const { version } = this.encoder;
    this.encoder.begin();
    this.status(code, message, pairs);
    const block = this.encoder.end();
    if (isUsual && version === this.encoder.version) {
      this.okKept = { block: Buffer.from(block), version };
    }
    return block;
  }

  /** Headers and status in one, for a call that ends before its first message. */
  trailersOnly(code: StatusCode, message: string, pairs: MetadataPairs): Buffer {
    this.encoder.begin();
    this.encoder.field(':status', '200', 'pass');
    this.encoder.field('content-type', CONTENT_TYPE, 'keep');
    this.encoder.field('grpc-accept-encoding', ACCEPTED_ENCODINGS, 'keep');
    this.status(code, message, pairs);
    return this.encoder.end();
  }

  /** The head of an answer of HTTP, for what is no call of gRPC. */
  http(code: number, bodyBytes: number): Buffer {
    this.encoder.begin();
    this.encoder.field(':status', String(code), 'pass');
    if (code === METHOD_NOT_ALLOWED) this.encoder.field('allow', 'POST', 'pass');
    this.encoder.field('content-type', 'text/plain; charset=utf-8', 'pass');
    this.encoder.field('content-length', String(bodyBytes), 'pass');
    return this.encoder.end();
  }

  private encodeHeaders(encoding: string, pairs: MetadataPairs): Buffer {
    this.encoder.begin();
    this.encoder.field(':status', '200', 'pass');
    this.encoder.field('content-type', CONTENT_TYPE, 'keep');
    this.encoder.field('grpc-encoding', encoding, 'keep');
    this.encoder.field('grpc-accept-encoding', ACCEPTED_ENCODINGS, 'keep');
    this.pairs(pairs);
    return this.encoder.end();
  }

  private status(code: StatusCode, message: string, pairs: MetadataPairs): void {
    this.encoder.field('grpc-status', String(code), 'keep');
    if (message !== '') {
      this.encoder.field('grpc-message', encodeStatusMessage(toWellFormed(message)), 'pass');
    }
    this.pairs(pairs);
  }

  private pairs(pairs: MetadataPairs): void {
    for (const [name, value] of pairs) {
      const text = typeof value === 'string' ? value : value.toString('base64');
      this.encoder.field(name, text, 'pass');
    }
  }
}
