/**
 * Bodies of requests: held against the signature, freed of their chunks, held against their MD5.
 *
 * In: a body as it came. Out: the bytes meant. Chunked bodies (`STREAMING-...`) are checked chunk by
 * chunk where these are signed, and by their trailing checksum where there is one that is known.
 */
import { createHash } from 'node:crypto';
import { type IncomingHttpHeaders } from 'node:http';
import { crc32 } from 'node:zlib';
import { S3Fault } from './fault.js';
import { isSame, sha256Hex, type Signer } from './signature.js';

const UNSIGNED = 'UNSIGNED-PAYLOAD';
const CHUNKED = /^STREAMING-(UNSIGNED|AWS4-HMAC-SHA256)-PAYLOAD(-TRAILER)?$/;

export function checkPayload(headers: IncomingHttpHeaders, raw: Buffer, signer: Signer): Buffer {
  const [chunked, kind, trailer] = CHUNKED.exec(signer.payload) ?? [];
  let bytes = raw;
  if (chunked !== undefined) {
    bytes = new ChunkReader(raw, signer, kind !== 'UNSIGNED').read(trailer !== undefined);
    const sizeBytes = Number(headers['x-amz-decoded-content-length']);
    if (sizeBytes !== bytes.length) throw new S3Fault(400, 'IncompleteBody', 'length differs');
  } else if (signer.payload !== UNSIGNED && signer.payload !== sha256Hex(raw)) {
    throw new S3Fault(400, 'XAmzContentSHA256Mismatch', 'the body is not the one signed');
  }
  const md5 = headers['content-md5'];
  if (md5 !== undefined && md5 !== createHash('md5').update(bytes).digest('base64')) {
    throw new S3Fault(400, 'BadDigest', 'the body has not the MD5 told');
  }
  return bytes;
}

class ChunkReader {
  private at = 0;
  private signature: string;

  constructor(
    private readonly raw: Buffer,
    private readonly signer: Signer,
    private readonly isSigned: boolean,
  ) {
    this.signature = signer.signature;
  }

  read(hasTrailer: boolean): Buffer {
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk = this.chunk(hasTrailer);
      if (chunk.length === 0) break;
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    if (hasTrailer) this.checkTrailer(bytes);
    return bytes;
  }

  private chunk(hasTrailer: boolean): Buffer {
    const [, size, signature] =
      /^([0-9a-fA-F]+)(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(this.line()) ?? [];
    if (size === undefined) throw new S3Fault(400, 'IncompleteBody', 'no size of a chunk');
    const sizeBytes = Number.parseInt(size, 16);
    const chunk = this.raw.subarray(this.at, this.at + sizeBytes);
    if (chunk.length !== sizeBytes) throw new S3Fault(400, 'IncompleteBody', 'a chunk is cut');
    this.at += sizeBytes;
    if (this.isSigned) this.checkSigned(signature, this.signer.signChunk(this.signature, chunk));
    // Behind the last chunk of a body with a trailer its lines follow at once.
    if (sizeBytes > 0 || !hasTrailer) this.expectLineEnd();
    return chunk;
  }

  private checkTrailer(bytes: Buffer): void {
    let signed = '';
    for (let line = this.line(); line !== ''; line = this.at < this.raw.length ? this.line() : '') {
      const [name = '', value = ''] = line.split(':');
      if (name === 'x-amz-trailer-signature') {
        this.checkSigned(value, this.signer.signTrailer(this.signature, signed));
        continue;
      }
      signed += `${name}:${value}\n`;
      if (name === 'x-amz-checksum-crc32' && value !== crc32Base64(bytes)) {
        throw new S3Fault(400, 'BadDigest', 'the body has not the CRC told');
      }
    }
  }

  private checkSigned(got: string | undefined, want: string): void {
    if (!isSame(got ?? '', want)) {
      throw new S3Fault(403, 'SignatureDoesNotMatch', 'the signature of a chunk is wrong');
    }
    this.signature = want;
  }

  private line(): string {
    const end = this.raw.indexOf('\r\n', this.at);
    if (end < 0) throw new S3Fault(400, 'IncompleteBody', 'a chunk has no end');
    const line = this.raw.toString('latin1', this.at, end);
    this.at = end + 2;
    return line;
  }

  private expectLineEnd(): void {
    if (this.line() !== '') throw new S3Fault(400, 'IncompleteBody', 'a chunk is too long');
  }
}

function crc32Base64(bytes: Buffer): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum.toString('base64');
}
