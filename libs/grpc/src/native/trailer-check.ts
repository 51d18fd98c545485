/**
 * Headers behind the messages of a request: they mean nothing to gRPC, but they have to be decoded, and
 * what RFC 9113 forbids is forbidden there too.
 */
import { type FieldSink } from '../http2/hpack-decoder.js';
import { fieldBytes } from '../http2/hpack-static-table.js';
import { HEADER_LIST_BYTES_MAX } from '../http2/limits.js';
import { whyForbidden } from './field-rules.js';

export class TrailerCheck implements FieldSink {
  /** What is wrong with them. */
  problem: string | undefined;
  private listBytes = 0;

  field(name: string, value: string): void {
    this.listBytes += fieldBytes(name, value);
    if (this.listBytes > HEADER_LIST_BYTES_MAX) this.problem ??= 'the trailers are too long';
    else this.problem ??= whyForbidden(name, value);
  }
}
