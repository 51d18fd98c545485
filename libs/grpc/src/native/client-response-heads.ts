/**
 * The headers and trailers of an answer, as far as a gRPC client looks at them.
 *
 * In: header blocks, all of a connection in order. Out: one object a block, never changed: a block of
 * mere indexes means the same until the table changes, so it is looked up by its bytes.
 */
import { type FieldSink, type HpackDecoder } from '../http2/hpack-decoder.js';
import { fieldBytes } from '../http2/hpack-static-table.js';
import { HEADER_LIST_BYTES_MAX } from '../http2/limits.js';
import { type ReceivedMetadata } from '../metadata.js';
import { type StatusCode, toStatusCode } from '../status.js';
import { decodeStatusMessage } from './client-status.js';
import { NO_METADATA, ReceivedPairs, type TextPair } from './received-metadata.js';

export interface ResponseHead {
  /** 0 in trailers. */
  readonly httpStatus: number;
  readonly contentType: string | undefined;
  readonly encoding: string | undefined;
  readonly status: StatusCode | undefined;
  readonly message: string;
  readonly metadata: ReceivedMetadata;
  /** What RFC 9113 forbids about it. */
  readonly problem: string | undefined;
}

const BLOCK_BYTES_MAX = 32;
const HEADS_MAX = 64;
const INDEXED = 0x80;
const COLON = 0x3a;
const HTTP_STATUS = /^[1-9]\d\d$/;
const DIGITS = /^\d{1,9}$/;

export class ResponseHeads implements FieldSink {
  private readonly kept = new Map<string, ResponseHead>();
  private version = -1;
  private httpStatus = 0;
  private contentType: string | undefined;
  private encoding: string | undefined;
  private status: StatusCode | undefined;
  private message = '';
  private pairs: TextPair[] = [];
  private listBytes = 0;
  private problem: string | undefined;

  constructor(private readonly decoder: HpackDecoder) {}

  /** Throws Http2Error when the block is damaged. */
  read(block: Buffer, from: number, to: number): ResponseHead {
    const isShort = to - from <= BLOCK_BYTES_MAX && (block[from] ?? 0) >= INDEXED;
    if (!isShort) return this.decode(block, from, to);
    if (this.version !== this.decoder.version || this.kept.size >= HEADS_MAX) {
      this.kept.clear();
      this.version = this.decoder.version;
    }
    const key = block.toString('latin1', from, to);
    const known = this.kept.get(key);
    if (known) return known;
    const head = this.decode(block, from, to);
    if (this.decoder.onlyIndexed) this.kept.set(key, head);
    return head;
  }

  field(name: string, value: string): void {
    this.listBytes += fieldBytes(name, value);
    if (this.listBytes > HEADER_LIST_BYTES_MAX) {
      this.problem ??= 'the headers are too long';
    } else if (name.charCodeAt(0) === COLON) {
      this.pseudo(name, value);
    } else {
      this.regular(name, value);
    }
  }

  private decode(block: Buffer, from: number, to: number): ResponseHead {
    this.httpStatus = 0;
    this.contentType = this.encoding = this.status = this.problem = undefined;
    this.message = '';
    this.pairs = [];
    this.listBytes = 0;
    this.decoder.decode(block, from, to, this);
    const { httpStatus, contentType, encoding, status, message, problem } = this;
    const metadata = this.pairs.length > 0 ? new ReceivedPairs(this.pairs) : NO_METADATA;
    return { httpStatus, contentType, encoding, status, message, metadata, problem };
  }

  private pseudo(name: string, value: string): void {
    if (name !== ':status' || this.httpStatus !== 0 || !HTTP_STATUS.test(value)) {
      this.problem ??= `an answer has no such ${name}`;
    } else {
      this.httpStatus = Number(value);
    }
  }

  private regular(name: string, value: string): void {
    switch (name) {
      case 'grpc-status':
        this.status ??= toStatusCode(DIGITS.test(value) ? Number(value) : Number.NaN);
        return;
      case 'grpc-message':
        this.message = decodeStatusMessage(value);
        return;
      case 'grpc-encoding':
        this.encoding ??= value;
        break;
      case 'content-type':
        this.contentType ??= value;
        break;
    }
    this.pairs.push([name, value]);
  }
}
