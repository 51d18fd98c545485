/**
 * The headers of a request, as far as a gRPC server looks at them.
 *
 * In: the fields of a block, in order. Out: one object; what is wrong with it is a text in `problem`.
 * Heads are kept for blocks that come again, so they are never changed.
 */
import { type FieldSink } from '../http2/hpack-decoder.js';
import { fieldBytes } from '../http2/hpack-static-table.js';
import { HEADER_LIST_BYTES_MAX } from '../http2/limits.js';
import { type ReceivedMetadata } from '../metadata.js';
import { isReserved, isValue, whyForbiddenName } from './field-rules.js';
import { NO_METADATA, ReceivedPairs, type TextPair } from './received-metadata.js';

export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | undefined;
  readonly timeout: string | undefined;
  readonly encoding: string | undefined;
  readonly acceptEncoding: string | undefined;
  readonly contentLength: number | undefined;
  readonly metadata: ReceivedMetadata;
  /** What RFC 9113 forbids about it. */
  readonly problem: string | undefined;
  /** The list is longer than was announced. */
  readonly isTooLong: boolean;
}

const DIGITS = /^\d{1,15}$/;

export class RequestHeadBuilder implements FieldSink {
  private method: string | undefined;
  private path: string | undefined;
  private scheme: string | undefined;
  private authority: string | undefined;
  private contentType: string | undefined;
  private timeout: string | undefined;
  private encoding: string | undefined;
  private acceptEncoding: string | undefined;
  private contentLength: number | undefined;
  private pairs: TextPair[] = [];
  private listBytes = 0;
  private isPastPseudo = false;
  private problem: string | undefined;

  begin(): void {
    this.method = this.path = this.scheme = this.authority = undefined;
    this.contentType = this.timeout = this.encoding = this.acceptEncoding = undefined;
    this.contentLength = undefined;
    this.pairs = [];
    this.listBytes = 0;
    this.isPastPseudo = false;
    this.problem = undefined;
  }

  field(name: string, value: string): void {
    this.listBytes += fieldBytes(name, value);
    if (this.listBytes > HEADER_LIST_BYTES_MAX) return;
    if (name.charCodeAt(0) === COLON) this.pseudo(name, value);
    else this.regular(name, value);
  }

  end(): RequestHead {
    if (this.method === undefined || this.scheme === undefined || !this.path) {
      this.problem ??= 'a request needs :method, :scheme and :path';
    }
    return {
      method: this.method ?? '',
      path: this.path ?? '',
      contentType: this.contentType,
      timeout: this.timeout,
      encoding: this.encoding,
      acceptEncoding: this.acceptEncoding,
      contentLength: this.contentLength,
      metadata: this.pairs.length > 0 ? new ReceivedPairs(this.pairs) : NO_METADATA,
      problem: this.problem,
      isTooLong: this.listBytes > HEADER_LIST_BYTES_MAX,
    };
  }

  private pseudo(name: string, value: string): void {
    if (!isValue(value)) this.problem ??= `the value of ${name} holds a forbidden character`;
    if (this.isPastPseudo) this.problem ??= `${name} comes after other headers`;
    const isSecond = `${name} comes twice`;
    switch (name) {
      case ':method':
        if (this.method !== undefined) this.problem ??= isSecond;
        this.method = value;
        return;
      case ':path':
        if (this.path !== undefined) this.problem ??= isSecond;
        this.path = value;
        return;
      case ':scheme':
        if (this.scheme !== undefined) this.problem ??= isSecond;
        this.scheme = value;
        return;
      case ':authority':
        if (this.authority !== undefined) this.problem ??= isSecond;
        this.authority = value;
        return;
      default:
        this.problem ??= `a request has no ${name}`;
    }
  }

  private regular(name: string, value: string): void {
    this.isPastPseudo = true;
    if (!isValue(value)) this.problem ??= `the value of ${name} holds a forbidden character`;
    switch (name) {
      case 'content-type':
        this.contentType ??= value;
        return;
      case 'te':
        if (value !== 'trailers') this.problem ??= 'the header te may only say trailers';
        return;
      case 'grpc-timeout':
        this.timeout ??= value;
        return;
      case 'grpc-encoding':
        this.encoding ??= value;
        return;
      case 'grpc-accept-encoding':
        this.acceptEncoding =
          this.acceptEncoding === undefined ? value : `${this.acceptEncoding},${value}`;
        return;
      case 'content-length':
        if (!DIGITS.test(value)) this.problem ??= 'content-length is no number';
        else if ((this.contentLength ??= Number(value)) !== Number(value)) {
          this.problem ??= 'there are two lengths of the content';
        }
        return;
      default:
        this.problem ??= whyForbiddenName(name);
        if (!isReserved(name)) this.pairs.push([name, value]);
    }
  }
}

const COLON = 0x3a;
