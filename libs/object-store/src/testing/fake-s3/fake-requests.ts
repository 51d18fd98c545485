/**
 * What each request to the fake server means.
 *
 * In: a request whose signature and payload were checked. Out: an answer, or an `S3Fault`. Only what
 * the adapter needs is there; anything else is `NotImplemented`, as on many servers that speak S3.
 */
import { type IncomingHttpHeaders } from 'node:http';
import { type FakeBucket, type FakeObject } from './fake-bucket.js';
import { S3Fault } from './fault.js';
import { elementsOf, textOf, toXml, type XmlNode } from './xml.js';

export interface FakeRequest {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  /** How the server takes `If-None-Match: *`. */
  readonly conditionalWrites: 'honoured' | 'ignored' | 'refused';
}

export interface FakeAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string | Buffer;
}

const KEPT_HEADERS = /^x-amz-(?:meta-|server-side-encryption)/;
const PAGE_MAX = 1_000;

export function answerTo(bucket: FakeBucket, request: FakeRequest): FakeAnswer {
  const { method, key, query } = request;
  if (key === '') {
    if (method === 'GET' && query.get('list-type') === '2') return listObjects(bucket, query);
    if (method === 'GET' && query.has('uploads')) return listUploads(bucket, query);
    if (method === 'POST' && query.has('delete')) return deleteMany(bucket, request);
    throw new S3Fault(501, 'NotImplemented', `${method} of a bucket`);
  }
  if (query.has('uploads') || query.has('uploadId')) return answerUpload(bucket, request);
  if (method === 'PUT') {
    const object = bucket.put(key, request.bytes, keptOf(request.headers), ifAbsent(request));
    return { status: 200, headers: { etag: `"${object.etag}"` } };
  }
  if (method === 'DELETE') {
    bucket.delete(key);
    return { status: 204 };
  }
  if (method === 'GET' || method === 'HEAD') return readObject(bucket.find(key), request);
  throw new S3Fault(501, 'NotImplemented', `${method} of an object`);
}

function readObject(object: FakeObject, { headers, method }: FakeRequest): FakeAnswer {
  const match = headers['if-match'];
  if (match !== undefined && match !== `"${object.etag}"`) {
    throw new S3Fault(412, 'PreconditionFailed', 'the object has another etag');
  }
  const about = {
    ...object.headers,
    etag: `"${object.etag}"`,
    'last-modified': new Date(object.modifiedAtMs).toUTCString(),
    'accept-ranges': 'bytes',
  };
  const total = object.sizeBytes;
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  if (method === 'HEAD') return { status: 200, headers: { ...about, 'content-length': total } };
  if (first === undefined) {
    return { status: 200, headers: { ...about, 'content-length': total }, body: object.bytes };
  }
  const start = Number(first);
  const end = last === undefined || last === '' ? total : Math.min(Number(last) + 1, total);
  if (start >= total) throw new S3Fault(416, 'InvalidRange', 'the range is beyond the object');
  const body = object.bytes.subarray(start, end);
  const range = { 'content-range': `bytes ${start}-${end - 1}/${total}` };
  return { status: 206, headers: { ...about, ...range, 'content-length': body.length }, body };
}

function answerUpload(bucket: FakeBucket, request: FakeRequest): FakeAnswer {
  const { method, key, query, bytes } = request;
  if (method === 'POST' && query.has('uploads')) {
    const { uploadId } = bucket.startUpload(key, keptOf(request.headers));
    return xml('InitiateMultipartUploadResult', [
      ['Key', key],
      ['UploadId', uploadId],
    ]);
  }
  const upload = bucket.findUpload(key, query.get('uploadId') ?? '');
  if (method === 'PUT') {
    const part = bucket.putPart(upload, Number(query.get('partNumber')), bytes);
    return { status: 200, headers: { etag: `"${part.etag}"` } };
  }
  if (method === 'DELETE') {
    bucket.endUpload(upload);
    return { status: 204 };
  }
  if (method === 'POST') {
    const parts = elementsOf(bytes.toString(), 'Part').map((part) => ({
      partNumber: Number(textOf(part, 'PartNumber')),
      etag: (textOf(part, 'ETag') ?? '').replaceAll('"', ''),
    }));
    const { etag } = bucket.complete(upload, parts, ifAbsent(request));
    return xml('CompleteMultipartUploadResult', [
      ['Key', key],
      ['ETag', `"${etag}"`],
    ]);
  }
  const marker = Number(query.get('part-number-marker') ?? 0);
  const all = [...upload.parts.values()]
    .filter(({ partNumber }) => partNumber > marker)
    .sort((left, right) => left.partNumber - right.partNumber);
  const page = all.slice(0, limitOf(query, 'max-parts'));
  return xml('ListPartsResult', [
    ['UploadId', upload.uploadId],
    ['IsTruncated', page.length < all.length],
    ['NextPartNumberMarker', page.at(-1)?.partNumber ?? 0],
    ...page.map((part): XmlNode => [
      'Part',
      [
        ['PartNumber', part.partNumber],
        ['ETag', `"${part.etag}"`],
        ['Size', part.sizeBytes],
        ['LastModified', new Date(part.modifiedAtMs).toISOString()],
      ],
    ]),
  ]);
}

function listObjects(bucket: FakeBucket, query: URLSearchParams): FakeAnswer {
  const all = bucket.list(query.get('prefix') ?? '', query.get('start-after') ?? '');
  const page = all.slice(0, limitOf(query, 'max-keys'));
  return xml('ListBucketResult', [
    ['KeyCount', page.length],
    ['EncodingType', query.get('encoding-type') ?? ''],
    ['IsTruncated', page.length < all.length],
    ...page.map((object): XmlNode => [
      'Contents',
      [
        ['Key', inList(object.key, query)],
        ['LastModified', new Date(object.modifiedAtMs).toISOString()],
        ['ETag', `"${object.etag}"`],
        ['Size', object.sizeBytes],
      ],
    ]),
  ]);
}

function listUploads(bucket: FakeBucket, query: URLSearchParams): FakeAnswer {
  const keyMarker = query.get('key-marker') ?? '';
  const idMarker = query.get('upload-id-marker') ?? '';
  const all = bucket.listUploads(query.get('prefix') ?? '', keyMarker, idMarker);
  const page = all.slice(0, limitOf(query, 'max-uploads'));
  return xml('ListMultipartUploadsResult', [
    ['EncodingType', query.get('encoding-type') ?? ''],
    ['IsTruncated', page.length < all.length],
    ...page.map((upload): XmlNode => [
      'Upload',
      [
        ['Key', inList(upload.key, query)],
        ['UploadId', upload.uploadId],
        ['Initiated', new Date(upload.startedAtMs).toISOString()],
      ],
    ]),
  ]);
}

function deleteMany(bucket: FakeBucket, { bytes, headers }: FakeRequest): FakeAnswer {
  if (headers['content-md5'] === undefined) {
    throw new S3Fault(400, 'InvalidRequest', 'Content-MD5 is missing');
  }
  for (const object of elementsOf(bytes.toString(), 'Object')) {
    bucket.delete(textOf(object, 'Key') ?? '');
  }
  return xml('DeleteResult', []);
}

function ifAbsent({ headers, conditionalWrites }: FakeRequest): boolean {
  if (headers['if-none-match'] !== '*' || conditionalWrites === 'ignored') return false;
  if (conditionalWrites === 'honoured') return true;
  throw new S3Fault(501, 'NotImplemented', 'no conditional writes here');
}

function keptOf(headers: IncomingHttpHeaders): Record<string, string> {
  const kept = Object.entries(headers).filter(([name]) => KEPT_HEADERS.test(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
}

/** A space as a plus, as Amazon writes it. */
function inList(key: string, query: URLSearchParams): string {
  if (query.get('encoding-type') !== 'url') return key;
  return encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/');
}

function limitOf(query: URLSearchParams, name: string): number {
  return Math.min(PAGE_MAX, Number(query.get(name) ?? PAGE_MAX));
}

function xml(root: string, content: XmlNode[]): FakeAnswer {
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: toXml(root, content),
  };
}
