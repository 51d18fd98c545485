/**
 * A client of `node:http2` with frames made by hand, for what well-behaved clients do not send:
 * other encodings, wrong flags, headers that lie, readers that do not read.
 *
 * Gives headers, messages and trailers as they came. Must never use this library's own framing.
 */
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { onTestFinished } from 'vitest';

export interface RawAnswer {
  headers: Record<string, string>;
  /** Flag and bytes of each message. */
  messages: { flag: number; bytes: Buffer }[];
  trailers: Record<string, string>;
  /** Status and text, from wherever they came. */
  status: string;
  message: string;
}

export function rawSession(port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  onTestFinished(() => session.destroy());
  return session;
}

export function frame(bytes: Uint8Array, flag = 0): Buffer {
  const header = Buffer.alloc(5);
  header[0] = flag;
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

export function openStream(
  session: ClientHttp2Session,
  path: string,
  headers: Record<string, string> = {},
): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => undefined);
  return stream;
}

export function answerOf(stream: ClientHttp2Stream): Promise<RawAnswer> {
  return new Promise((resolve) => {
    let headers: Record<string, string> = {};
    let trailers: Record<string, string> = {};
    const chunks: Buffer[] = [];
    stream.on('response', (received: object) => {
      headers = plain(received);
    });
    stream.on('trailers', (received: object) => {
      trailers = plain(received);
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('close', () => {
      const all = { ...headers, ...trailers };
      resolve({
        headers,
        trailers,
        messages: split(Buffer.concat(chunks)),
        status: all['grpc-status'] ?? `none, reset with ${stream.rstCode}`,
        message: decodeURIComponent(all['grpc-message'] ?? ''),
      });
    });
  });
}

export async function rawCall(
  port: number,
  path: string,
  headers: Record<string, string>,
  body: Buffer,
): Promise<RawAnswer> {
  const stream = openStream(rawSession(port), path, headers);
  const answer = answerOf(stream);
  stream.end(body);
  return await answer;
}

function plain(headers: object): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

function split(bytes: Buffer): RawAnswer['messages'] {
  const messages: RawAnswer['messages'] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = bytes.readUInt32BE(at + 1);
    messages.push({ flag: bytes.readUInt8(at), bytes: bytes.subarray(at + 5, at + 5 + length) });
    at += 5 + length;
  }
  return messages;
}
