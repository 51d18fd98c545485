/**
 * A server that speaks S3.
 *
 * In: HTTP requests of a real client. Out: what S3 would answer, signatures and checksums checked
 * before anything is carried out. A test may have requests fail: refused, carried out without an
 * answer, or answered by half.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { FakeBucket } from './fake-bucket.js';
import { FakeDisk } from './fake-disk.js';
import { answerTo, type FakeAnswer, type FakeRequest } from './fake-requests.js';
import { S3Fault } from './fault.js';
import { checkPayload } from './payload.js';
import { checkSignature } from './signature.js';
import { toXml } from './xml.js';

export interface FakeS3Options {
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly partBytesMin?: number;
  readonly conditionalWrites?: FakeRequest['conditionalWrites'];
  /** Where all of it outlives the process; in memory if absent. */
  readonly folder?: string;
  /** Requests that `seen` remembers, the first ones; all of them if absent. */
  readonly seenMax?: number;
}

/** What happens to a request instead of what should. */
export type FakeTrouble =
  | { readonly kind: 'refuse'; readonly status: number; readonly code: string }
  /** Nothing is done, and nothing answered, for ever. */
  | { readonly kind: 'hang' }
  /** The connection is cut before anything is done. */
  | { readonly kind: 'drop' }
  /** It is carried out, and the connection cut before the answer. */
  | { readonly kind: 'lose-answer' }
  /** The answer's body is cut behind so many bytes. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** One bit of the body is wrong, on its way in. */
  | { readonly kind: 'damage' };

export interface FakeRequestSeen {
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingMessage['headers'];
}

/** As Amazon has it. */
const PART_BYTES_MIN = 5 * 1024 * 1024;
const BODY_BYTES_MAX = 1024 ** 3;

export class FakeS3Server {
  readonly bucket: FakeBucket;
  /** Every request that came, in order. */
  readonly seen: FakeRequestSeen[] = [];
  /** Asked about each request before it is looked at. */
  trouble: (request: FakeRequestSeen) => FakeTrouble | undefined = () => undefined;

  private readonly server: Server;

  constructor(private readonly options: FakeS3Options) {
    const { partBytesMin = PART_BYTES_MIN, folder } = options;
    const disk = folder === undefined ? undefined : new FakeDisk(folder);
    this.bucket = new FakeBucket(partBytesMin, disk);
    this.server = createServer((request, response) => {
      this.handle(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  /** Its endpoint; any port that is free if none is given. */
  async listen(port = 0): Promise<string> {
    await new Promise<void>((done, failed) => {
      this.server.once('error', failed).listen(port, '127.0.0.1', done);
    });
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((done) => this.server.close(() => done()));
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: target = '', headers } = request;
    const seen = { method, target, headers };
    if (this.seen.length < (this.options.seenMax ?? Infinity)) this.seen.push(seen);
    const trouble = this.trouble(seen);
    if (trouble?.kind === 'hang') return;
    if (trouble?.kind === 'drop') {
      request.socket.destroy();
      return;
    }
    const answer = await this.answer(request, seen, trouble);
    if (trouble?.kind === 'lose-answer') request.socket.destroy();
    else send(response, method, answer, trouble);
  }

  private async answer(
    request: IncomingMessage,
    seen: FakeRequestSeen,
    trouble: FakeTrouble | undefined,
  ): Promise<FakeAnswer> {
    try {
      const raw = await readAll(request);
      if (trouble?.kind === 'refuse') throw new S3Fault(trouble.status, trouble.code, 'on purpose');
      if (trouble?.kind === 'damage' && raw.length > 0) raw.writeUInt8(raw.readUInt8(0) ^ 1, 0);
      return this.carryOut(seen, raw);
    } catch (error) {
      if (!(error instanceof S3Fault)) throw error;
      const { status, code, message } = error;
      const body = toXml('Error', [
        ['Code', code],
        ['Message', message],
      ]);
      return { status, headers: { 'content-type': 'application/xml' }, body };
    }
  }

  private carryOut({ method, target, headers }: FakeRequestSeen, raw: Buffer): FakeAnswer {
    const { accessKeyId, secretAccessKey, bucket, conditionalWrites } = this.options;
    const secrets = new Map([[accessKeyId, secretAccessKey]]);
    const signer = checkSignature({ method, target, headers }, secrets, Date.now());
    const bytes = checkPayload(headers, raw, signer);
    const [path = '', query = ''] = target.split('?');
    const [, name = '', ...segments] = path.split('/').map(decodeURIComponent);
    if (name !== bucket) throw new S3Fault(404, 'NoSuchBucket', 'no such bucket');
    return answerTo(this.bucket, {
      method,
      key: segments.join('/'),
      query: new URLSearchParams(query),
      headers,
      bytes,
      conditionalWrites: conditionalWrites ?? 'honoured',
    });
  }
}

function send(
  response: ServerResponse,
  method: string,
  { status, headers = {}, body = '' }: FakeAnswer,
  trouble: FakeTrouble | undefined,
): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'content-length': bytes.length, ...headers });
  if (trouble?.kind === 'cut') {
    response.write(bytes.subarray(0, trouble.afterBytes), () => response.destroy());
    return;
  }
  response.end(method === 'HEAD' ? undefined : bytes);
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    sizeBytes += piece.length;
    if (sizeBytes > BODY_BYTES_MAX) throw new S3Fault(400, 'EntityTooLarge', 'too large');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
