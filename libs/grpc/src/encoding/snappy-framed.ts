/**
 * Snappy in its framed stream format (framing_format.txt of the snappy project): for messages, and
 * as streaming encoder and decoder for files such as backups.
 *
 *     stream  = "ff 06 00 00 sNaPpY" chunk*
 *     chunk   = type:u8 length:u24le data
 *     type 00 = masked CRC32C of the plain bytes:u32le, snappy block
 *     type 01 = masked CRC32C of the plain bytes:u32le, the plain bytes themselves
 *     type fe = padding; 80..fd = to be skipped; 02..7f = must not be skipped: an error
 *
 * A chunk holds at most 64 KiB of plain bytes, and a snappy block begins with its plain length, so
 * nothing is unpacked before it is known to fit. Must never trust a length before comparing it
 * with its bound, nor hand out bytes whose checksum has not been compared.
 */
import { crc32c } from '@node-rs/crc32';
import { compressSync, uncompressSync } from 'snappy';
import { Transform, type TransformCallback } from 'node:stream';
import { asBuffer, encodingCorrupt, encodingTooLarge, type MessageEncoding } from './encoding.js';

const NAME = 'snappy';

const CHUNK = { compressed: 0x00, plain: 0x01, skippableFrom: 0x80, identifier: 0xff } as const;
const HEADER_BYTES = 4;
const CHECKSUM_BYTES = 4;
const IDENTIFIER = Buffer.from([0xff, 6, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59]);

/** Most plain bytes in one chunk. */
export const SNAPPY_CHUNK_PLAIN_BYTES_MAX = 64 * 1024;
/** Most bytes that a chunk with data may have: what a block of 64 KiB can at worst become. */
const CHUNK_DATA_BYTES_MAX =
  CHECKSUM_BYTES + 32 + SNAPPY_CHUNK_PLAIN_BYTES_MAX + Math.ceil(SNAPPY_CHUNK_PLAIN_BYTES_MAX / 6);

/** The checksum as the format stores it: rotated and offset. */
function maskedChecksum(bytes: Uint8Array): number {
  const crc = crc32c(bytes) >>> 0;
  return ((((crc >>> 15) | (crc << 17)) >>> 0) + 0xa282ead8) >>> 0;
}

/** Takes a stream in pieces of any size and gives its plain bytes, chunk by chunk. */
export class SnappyFramedDecoder {
  #pending: Buffer = Buffer.alloc(0);
  #skipBytes = 0;
  #started = false;
  #roomBytes: number;

  /** `bytesMax` bounds all that will ever come out. */
  constructor(private readonly bytesMax: number = Number.POSITIVE_INFINITY) {
    this.#roomBytes = bytesMax;
  }

  /** Keeps no more than one unfinished chunk of `bytes`. */
  push(bytes: Uint8Array): Buffer[] {
    const plain: Buffer[] = [];
    let input =
      this.#pending.length === 0 ? asBuffer(bytes) : Buffer.concat([this.#pending, bytes]);
    for (;;) {
      const skipped = Math.min(this.#skipBytes, input.length);
      this.#skipBytes -= skipped;
      input = input.subarray(skipped);
      if (input.length < HEADER_BYTES) {
        break;
      }
      const type = input.readUInt8(0);
      const length = input.readUIntLE(1, 3);
      this.#checkHeader(type, length);
      if (type >= CHUNK.skippableFrom && type !== CHUNK.identifier) {
        this.#skipBytes = HEADER_BYTES + length;
        continue;
      }
      if (input.length < HEADER_BYTES + length) {
        break;
      }
      this.#chunk(type, input.subarray(0, HEADER_BYTES + length), plain);
      input = input.subarray(HEADER_BYTES + length);
    }
    this.#pending = input.length === 0 ? input : Buffer.from(input);
    return plain;
  }

  /** To be called when the stream is over: throws if that was in the middle of something. */
  end(): void {
    if (this.#pending.length > 0 || this.#skipBytes > 0) {
      throw encodingCorrupt(NAME, 'the stream is cut short');
    }
  }

  #checkHeader(type: number, length: number): void {
    if (!this.#started && type !== CHUNK.identifier) {
      throw encodingCorrupt(NAME, 'the stream does not begin with its identifier');
    }
    if (type === CHUNK.identifier) {
      if (length !== IDENTIFIER.length - HEADER_BYTES) {
        throw encodingCorrupt(NAME, 'the stream identifier is damaged');
      }
    } else if (type < CHUNK.skippableFrom) {
      if (type !== CHUNK.compressed && type !== CHUNK.plain) {
        throw encodingCorrupt(NAME, `chunk type ${type} is reserved`);
      }
      if (length < CHECKSUM_BYTES || length > CHUNK_DATA_BYTES_MAX) {
        throw encodingCorrupt(NAME, `a chunk cannot be ${length} bytes long`);
      }
    }
  }

  #chunk(type: number, chunk: Buffer, plain: Buffer[]): void {
    if (type === CHUNK.identifier) {
      if (!chunk.equals(IDENTIFIER)) {
        throw encodingCorrupt(NAME, 'the stream identifier is damaged');
      }
      this.#started = true;
      return;
    }
    const checksum = chunk.readUInt32LE(HEADER_BYTES);
    const data = chunk.subarray(HEADER_BYTES + CHECKSUM_BYTES);
    const length = type === CHUNK.plain ? data.length : blockPlainLength(data);
    if (length > SNAPPY_CHUNK_PLAIN_BYTES_MAX) {
      throw encodingCorrupt(NAME, `a chunk cannot hold ${length} plain bytes`);
    }
    this.#roomBytes -= length;
    if (this.#roomBytes < 0) {
      throw encodingTooLarge(NAME, this.bytesMax);
    }
    const bytes = type === CHUNK.plain ? data : unpackBlock(data);
    if (bytes.length !== length || maskedChecksum(bytes) !== checksum) {
      throw encodingCorrupt(NAME, 'a chunk does not have its checksum');
    }
    if (length > 0) {
      plain.push(bytes);
    }
  }
}

/** The plain length that a snappy block states first, as a varint of at most 32 bits. */
function blockPlainLength(block: Buffer): number {
  let length = 0;
  for (let at = 0; at < 5; at += 1) {
    const byte = block[at];
    if (byte === undefined) {
      break;
    }
    length += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) {
      return length;
    }
  }
  throw encodingCorrupt(NAME, 'a block does not state its length');
}

function unpackBlock(block: Buffer): Buffer {
  let plain: string | Buffer;
  try {
    plain = uncompressSync(block, { asBuffer: true });
  } catch (error) {
    throw encodingCorrupt(NAME, 'a block is damaged', error);
  }
  if (typeof plain === 'string') {
    throw encodingCorrupt(NAME, 'the codec answered with text');
  }
  return plain;
}

/** Takes plain bytes in pieces of any size and gives the framed stream. */
export class SnappyFramedEncoder {
  #started = false;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** The last chunk did not become smaller. */
  #isDense = false;

  /**
   * Full chunks come out at once and may be views of `bytes`; less than a chunk is copied and kept
   * for the next piece or the end.
   */
  push(bytes: Uint8Array): Buffer[] {
    this.#pendingBytes += bytes.byteLength;
    if (this.#pendingBytes < SNAPPY_CHUNK_PLAIN_BYTES_MAX) {
      this.#pending.push(Buffer.from(bytes));
      return [];
    }
    this.#pending.push(asBuffer(bytes));
    return this.#take(false);
  }

  /** What is left. An empty stream is its identifier alone. */
  end(): Buffer[] {
    return this.#take(true);
  }

  /** A whole stream of `bytes`; nothing was pushed before. */
  whole(bytes: Uint8Array): Buffer[] {
    this.#pending = [asBuffer(bytes)];
    this.#pendingBytes = bytes.byteLength;
    return this.#take(true);
  }

  #take(last: boolean): Buffer[] {
    const [only] = this.#pending;
    const plain =
      this.#pending.length === 1 && only !== undefined ? only : Buffer.concat(this.#pending);
    const out: Buffer[] = [];
    if (!this.#started) {
      this.#started = true;
      out.push(IDENTIFIER);
    }
    let at = 0;
    while (plain.length - at >= SNAPPY_CHUNK_PLAIN_BYTES_MAX || (last && at < plain.length)) {
      const end = Math.min(at + SNAPPY_CHUNK_PLAIN_BYTES_MAX, plain.length);
      this.#chunk(plain.subarray(at, end), out);
      at = end;
    }
    this.#pending = at < plain.length ? [Buffer.from(plain.subarray(at))] : [];
    this.#pendingBytes = plain.length - at;
    return out;
  }

  #chunk(plain: Buffer, out: Buffer[]): void {
    // Behind data that is packed already there is more of it: a look at a little of it is cheaper.
    const packed = this.#isDense && !isWorth(plain) ? plain : pack(plain);
    const worth = packed !== plain;
    this.#isDense = !worth;
    const header = Buffer.allocUnsafe(HEADER_BYTES + CHECKSUM_BYTES);
    header.writeUInt8(worth ? CHUNK.compressed : CHUNK.plain, 0);
    header.writeUIntLE(CHECKSUM_BYTES + packed.length, 1, 3);
    header.writeUInt32LE(maskedChecksum(plain), HEADER_BYTES);
    out.push(header, packed);
  }
}

/** What is looked at of a chunk behind one that could not be packed. */
const PROBE_BYTES = 4 * 1024;

/** The bytes themselves where packing is not worth it: as other writers do, less than an eighth saved is not. */
function pack(plain: Buffer): Buffer {
  const packed = compressSync(plain);
  return packed.length < plain.length - plain.length / 8 ? packed : plain;
}

function isWorth(plain: Uint8Array): boolean {
  const probe = asBuffer(plain).subarray(0, PROBE_BYTES);
  return pack(probe) !== probe;
}

/** For `grpc-encoding: snappy`. Fast enough both ways to be done at once, whatever the size. */
export const snappy: MessageEncoding = {
  name: NAME,
  compress: (bytes) => Buffer.concat(compressToPieces(bytes)),
  compressToPieces,
  isWorth,
  decompress(bytes, bytesMax) {
    const decoder = new SnappyFramedDecoder(bytesMax);
    const plain = decoder.push(bytes);
    decoder.end();
    const [only] = plain;
    return plain.length === 1 && only !== undefined ? only : Buffer.concat(plain);
  },
};

function compressToPieces(bytes: Uint8Array): Buffer[] {
  return new SnappyFramedEncoder().whole(bytes);
}

/** A stream that unpacks what is piped through it. */
export function createSnappyDecodeStream(bytesMax?: number): Transform {
  const decoder = new SnappyFramedDecoder(bytesMax);
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      guarded(this, done, () => decoder.push(chunk));
    },
    flush(done: TransformCallback) {
      guarded(this, done, () => {
        decoder.end();
        return [];
      });
    },
  });
}

/** A stream that packs what is piped through it. */
export function createSnappyEncodeStream(): Transform {
  const encoder = new SnappyFramedEncoder();
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      guarded(this, done, () => encoder.push(chunk));
    },
    flush(done: TransformCallback) {
      guarded(this, done, () => encoder.end());
    },
  });
}

/** Pushes what `step` gives, or hands its error to the stream. */
function guarded(stream: Transform, done: TransformCallback, step: () => Buffer[]): void {
  try {
    for (const piece of step()) {
      stream.push(piece);
    }
  } catch (error) {
    done(error instanceof Error ? error : new Error(String(error)));
    return;
  }
  done();
}
