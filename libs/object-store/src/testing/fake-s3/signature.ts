/**
 * Signatures of requests (AWS Signature Version 4), checked as a server does.
 *
 * In: a request as it came, and the keys that are known. Out: what a body is held against, or the
 * error that the client gets. Written from the protocol's description, not with the client's code:
 * it would share its mistakes.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { type IncomingHttpHeaders } from 'node:http';
import { S3Fault } from './fault.js';

export interface SignedRequest {
  readonly method: string;
  /** Path and query as they came over the wire. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Signer {
  /** The signature that the chunks of a body go on from. */
  readonly signature: string;
  /** `x-amz-content-sha256`: a hash, or how the body is signed. */
  readonly payload: string;
  signChunk(before: string, bytes: Uint8Array): string;
  signTrailer(before: string, trailer: string): string;
}

const CLOCK_SKEW_MS_MAX = 15 * 60_000;
const EMPTY_SHA256 = sha256Hex('');

export function checkSignature(
  request: SignedRequest,
  secrets: ReadonlyMap<string, string>,
  nowMs: number,
): Signer {
  const { headers } = request;
  const authorization = /^AWS4-HMAC-SHA256 (.*)$/.exec(headers.authorization ?? '')?.[1];
  if (authorization === undefined) throw new S3Fault(403, 'AccessDenied', 'no signature');
  const fields = new Map(
    authorization.split(',').map((field): [string, string] => {
      const [name = '', ...value] = field.trim().split('=');
      return [name, value.join('=')];
    }),
  );
  const [accessKeyId = '', ...scope] = (fields.get('Credential') ?? '').split('/');
  const secret = secrets.get(accessKeyId);
  if (secret === undefined) throw new S3Fault(403, 'InvalidAccessKeyId', 'unknown access key');
  const time = checkTime(headers['x-amz-date'], scope, nowMs);
  const payload = String(headers['x-amz-content-sha256'] ?? '');
  if (payload === '') throw new S3Fault(400, 'InvalidRequest', 'no x-amz-content-sha256');

  const names = (fields.get('SignedHeaders') ?? '').split(';');
  checkSigned(names, headers);
  const canonical = canonicalRequest(request, names, payload);
  const key = signingKey(secret, scope);
  const sign = (kind: string, ...lines: string[]): string => {
    return hmac(key, [kind, time, scope.join('/'), ...lines].join('\n')).toString('hex');
  };
  const signature = sign('AWS4-HMAC-SHA256', sha256Hex(canonical));
  if (!isSame(signature, fields.get('Signature') ?? '')) {
    throw new S3Fault(403, 'SignatureDoesNotMatch', 'the signature is not that of the request');
  }
  return {
    signature,
    payload,
    signChunk: (before, bytes) => {
      return sign('AWS4-HMAC-SHA256-PAYLOAD', before, EMPTY_SHA256, sha256Hex(bytes));
    },
    signTrailer: (before, trailer) => {
      return sign('AWS4-HMAC-SHA256-TRAILER', before, sha256Hex(trailer));
    },
  };
}

export function sha256Hex(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function isSame(left: string, right: string): boolean {
  return left.length === right.length && timingSafeEqual(Buffer.from(left), Buffer.from(right));
}

function checkTime(date: string | string[] | undefined, scope: string[], nowMs: number): string {
  const time = String(date ?? '');
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? [];
  const sentMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (!(Math.abs(sentMs - nowMs) <= CLOCK_SKEW_MS_MAX)) {
    throw new S3Fault(403, 'RequestTimeTooSkewed', 'the clocks differ by too much');
  }
  if (scope.length !== 4 || scope[0] !== time.slice(0, 8) || scope[2] !== 's3') {
    throw new S3Fault(403, 'AuthorizationHeaderMalformed', 'the scope is not one of today and S3');
  }
  return time;
}

/** What changes the meaning of a request has to be signed. */
function checkSigned(names: readonly string[], headers: IncomingHttpHeaders): void {
  const needed = Object.keys(headers).filter((name) => {
    return name === 'host' || name === 'content-md5' || name.startsWith('x-amz-');
  });
  for (const name of needed) {
    if (!names.includes(name)) throw new S3Fault(403, 'AccessDenied', `${name} is not signed`);
  }
}

function canonicalRequest(request: SignedRequest, names: string[], payload: string): string {
  const [path = '', query = ''] = request.target.split('?');
  const parameters = query
    .split('&')
    .filter((each) => each !== '')
    .map((each) => {
      const [name = '', value = ''] = each.split('=');
      return `${encode(decodeURIComponent(name))}=${encode(decodeURIComponent(value))}`;
    })
    .sort((left, right) => (left < right ? -1 : 1));
  const headers = names.map((name) => {
    return `${name}:${String(request.headers[name] ?? '')
      .trim()
      .replace(/ +/g, ' ')}\n`;
  });
  const segments = path.split('/').map((segment) => encode(decodeURIComponent(segment)));
  return [
    request.method,
    segments.join('/'),
    parameters.join('&'),
    headers.join(''),
    names.join(';'),
    payload,
  ].join('\n');
}

function signingKey(secret: string, scope: readonly string[]): Buffer {
  return scope.reduce<Buffer>((key, part) => hmac(key, part), Buffer.from(`AWS4${secret}`));
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (each) => {
    return `%${each.charCodeAt(0).toString(16).toUpperCase()}`;
  });
}
