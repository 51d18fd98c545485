/** The fake server takes what a real client signs, and nothing that was changed on the way. */
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { patternOf } from '../compliance/pieces.js';
import { type FakeS3, openFakeS3 } from './fixture.js';
import { checkPayload } from './payload.js';
import { checkSignature, type Signer } from './signature.js';

/** The example of the protocol's description: keys, time and signature are public. */
const EXAMPLE = {
  secrets: new Map([['AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY']]),
  nowMs: Date.UTC(2013, 4, 24),
  request: {
    method: 'GET',
    target: '/test.txt',
    headers: {
      host: 'examplebucket.s3.amazonaws.com',
      range: 'bytes=0-9',
      'x-amz-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      'x-amz-date': '20130524T000000Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,' +
        'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,' +
        'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    },
  },
};

describe('signatures of requests', () => {
  it('the example of the description is right, and wrong once anything is changed', () => {
    const { request, secrets, nowMs } = EXAMPLE;
    expect(checkSignature(request, secrets, nowMs).payload).toHaveLength(64);
    const changed = [
      { ...request, method: 'HEAD' },
      { ...request, target: '/test.txt?x=1' },
      { ...request, target: '/tesu.txt' },
      { ...request, headers: { ...request.headers, range: 'bytes=0-8' } },
      { ...request, headers: { ...request.headers, 'x-amz-meta-x': '1' } },
    ];
    for (const each of changed) expect(() => checkSignature(each, secrets, nowMs)).toThrow();
    expect(() => checkSignature(request, secrets, nowMs + 3_600_000)).toThrow('clocks');
    expect(() => checkSignature(request, new Map(), nowMs)).toThrow('unknown');
  });

  it('signed chunks go on from each other, and none may be changed', () => {
    const signer: Signer = {
      signature: 'seed',
      payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      signChunk: (before, bytes) => `${before.length}${bytes.length}`.padStart(64, '0'),
      signTrailer: () => '',
    };
    const sign = (before: string, text: string): string =>
      signer.signChunk(before, Buffer.from(text));
    const first = sign('seed', 'hello');
    const second = sign(first, ' world');
    const last = sign(second, '');
    const chunk = (text: string, signature: string): string => {
      return `${text.length.toString(16)};chunk-signature=${signature}\r\n${text}\r\n`;
    };
    const body = chunk('hello', first) + chunk(' world', second) + chunk('', last);
    const headers = { 'x-amz-decoded-content-length': '11' };
    expect(checkPayload(headers, Buffer.from(body), signer).toString()).toBe('hello world');
    const swapped = chunk(' world', second) + chunk('hello', first) + chunk('', last);
    expect(() => checkPayload(headers, Buffer.from(swapped), signer)).toThrow('signature');
    const cut = Buffer.from(body).subarray(0, -80);
    expect(() => checkPayload(headers, cut, signer)).toThrow();
    expect(() => checkPayload({}, Buffer.from(body), signer)).toThrow('length');
  });
});

describe('bodies as the client sends them', () => {
  let fake: FakeS3;
  beforeEach(async () => {
    fake = await openFakeS3();
  });
  afterEach(async () => {
    await fake.close();
  });

  it('a stream with a trailing checksum is freed of its chunks', async () => {
    const { endpoint = '', region, credentials } = fake.settings;
    const client = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_SUPPORTED',
      ...(credentials === undefined ? {} : { credentials }),
    });
    const bytes = patternOf(200_000);
    await client.send(
      new PutObjectCommand({
        Bucket: 'backups',
        Key: 'a',
        Body: Readable.from([bytes.subarray(0, 70_000), bytes.subarray(70_000)]),
        ContentLength: bytes.length,
      }),
    );
    client.destroy();
    expect(fake.server.seen[0]?.headers['x-amz-content-sha256']).toMatch(/^STREAMING-/);
    expect(fake.server.bucket.find('a').bytes.equals(bytes)).toBe(true);
  });

  it('a request without a signature is refused', async () => {
    const port = Number(new URL(fake.settings.endpoint ?? '').port);
    const socket = connect(port, '127.0.0.1');
    socket.end('GET /backups?list-type=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    let answer = '';
    for await (const piece of socket) answer += String(piece);
    expect(answer).toMatch(/^HTTP\/1.1 403 /);
    expect(answer).toContain('<Code>AccessDenied</Code>');
  });
});
