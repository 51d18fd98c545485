/**
 * Requests made in place: a message is copied, and its keys and values are written over.
 *
 * In: templates, the number of a key. Out: bytes in a buffer of the caller. The pool of random bytes is
 * larger than what a compressor of pages looks back, so that no store can save what it should write.
 */
import { randomFillSync } from 'node:crypto';
import type { KeyPlace, RequestTemplate, ValuePlace } from './plan.js';

/** Digits that are written; a key has more of them, which stay zeros. */
const KEY_DIGITS = 9;
const ZERO = 48;
const POOL_BYTES = 4 * 1024 * 1024;
/** Length prefix of a gRPC message that is not compressed. */
export const GRPC_PREFIX_BYTES = 5;

/** A small generator of numbers: a request needs several, and none has to be secret. */
export class Numbers {
  constructor(private state = 0x2545f491) {}

  /** A whole number below `end`. */
  below(end: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return Math.floor(((this.state >>> 0) / 2 ** 32) * end);
  }
}

export class RequestFiller {
  readonly path: string;
  readonly length: number;
  private readonly message: Buffer;
  private readonly keys: readonly KeyPlace[];
  private readonly values: readonly ValuePlace[];
  private static readonly pool = randomFillSync(Buffer.alloc(POOL_BYTES));

  constructor(
    template: RequestTemplate,
    private readonly numbers: Numbers,
  ) {
    const body = Buffer.from(template.body, 'base64');
    const prefix = Buffer.alloc(GRPC_PREFIX_BYTES);
    prefix.writeUInt32BE(body.length, 1);
    this.message = Buffer.concat([prefix, body]);
    this.length = this.message.length;
    this.path = template.path;
    this.keys = template.keys;
    this.values = template.values;
  }

  /** Writes the message with its prefix; `target` has room for `length` bytes. */
  fill(target: Buffer, at: number, key: number): void {
    this.message.copy(target, at);
    const body = at + GRPC_PREFIX_BYTES;
    for (const { end, add } of this.keys) {
      let rest = key + add;
      for (let digit = body + end - 1; digit >= body + end - KEY_DIGITS; digit--) {
        target[digit] = ZERO + (rest % 10);
        rest = Math.floor(rest / 10);
      }
    }
    for (const { from, bytes } of this.values) {
      const start = this.numbers.below(POOL_BYTES - bytes);
      RequestFiller.pool.copy(target, body + from, start, start + bytes);
    }
  }
}
