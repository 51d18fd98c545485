/**
 * Where objects are, from a URL and settings beside it.
 *
 *   file:///var/backups/flotilla
 *   s3://bucket/prefix?region=eu-central-1&endpoint=https://s3.example.org&path-style=true
 *
 * In: text of an operator. Out: a location with all defaults filled in, or `STORE_INVALID` that
 * names the field. Credentials are never part of a URL: URLs are logged.
 */
import { fileURLToPath } from 'node:url';
import {
  PART_BYTES_DEFAULT,
  PART_BYTES_MAX,
  PART_BYTES_MIN,
  PARTS_IN_FLIGHT_DEFAULT,
  PARTS_IN_FLIGHT_MAX,
  PREFIX_BYTES_MAX,
} from '../port/bounds.js';
import { ObjectStoreError } from '../port/errors.js';
import { isKey } from '../port/keys.js';
import { type S3Credentials, type S3Encryption, type S3Settings } from '../s3/s3-settings.js';

export type ObjectStoreLocation =
  | { readonly kind: 'file-system'; readonly folder: string }
  | { readonly kind: 's3'; readonly settings: S3Settings };

/** What is not in the URL. */
export interface ObjectStoreSecrets {
  /** Else the usual chain: environment, shared files, the role of the machine or the pod. */
  readonly credentials?: S3Credentials;
}

/** The parameters of an `s3:` URL; anything else in it is an error, not a typing mistake ignored. */
const S3_PARAMETERS: ReadonlySet<string> = new Set([
  'region',
  'endpoint',
  'path-style',
  'encryption',
  'kms-key-id',
  'conditional-writes',
  'part-bytes',
  'parts-in-flight',
]);

const REGION_DEFAULT = 'us-east-1';

export function parseObjectStoreUrl(
  text: string,
  { credentials }: ObjectStoreSecrets = {},
): ObjectStoreLocation {
  const url = parse(text);
  if (url.username !== '' || url.password !== '') {
    throw invalid('url', 'must not hold credentials: they are given apart');
  }
  if (url.hash !== '') throw invalid('url', `must not hold "#": write it as %23`);
  if (url.protocol === 'file:') return fileLocation(url);
  if (url.protocol === 's3:') return { kind: 's3', settings: s3Settings(url, credentials) };
  throw invalid('url', `must begin with file:// or s3://, not ${url.protocol}//`);
}

function parse(text: string): URL {
  try {
    return new URL(text);
  } catch (error) {
    throw new ObjectStoreError('STORE_INVALID', 'object store: url is no URL', { cause: error });
  }
}

function fileLocation(url: URL): ObjectStoreLocation {
  if (url.search !== '') throw invalid('url', 'of a folder has no parameters');
  if (url.hostname !== '') throw invalid('url', 'of a folder needs three slashes: file:///folder');
  const folder = fileURLToPath(url);
  if (folder === '/') throw invalid('url', 'must name a folder, not the root');
  return { kind: 'file-system', folder };
}

function s3Settings(url: URL, credentials: S3Credentials | undefined): S3Settings {
  checkParameters(url.searchParams);
  const read = (name: string): string | undefined => url.searchParams.get(name) ?? undefined;
  const endpoint = endpointOf(read('endpoint'));
  const encryption = encryptionOf(read('encryption'), read('kms-key-id'));
  return {
    bucket: bucketOf(url),
    prefix: prefixOf(url),
    region: read('region') ?? REGION_DEFAULT,
    pathStyle: pathStyleOf(read('path-style'), endpoint),
    conditionalWrites:
      oneOf('conditional-writes', read('conditional-writes'), ['probe', 'yes', 'no']) ?? 'probe',
    partBytes:
      number('part-bytes', read('part-bytes'), PART_BYTES_MIN, PART_BYTES_MAX) ??
      PART_BYTES_DEFAULT,
    partsInFlight:
      number('parts-in-flight', read('parts-in-flight'), 1, PARTS_IN_FLIGHT_MAX) ??
      PARTS_IN_FLIGHT_DEFAULT,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(encryption === undefined ? {} : { encryption }),
    ...(credentials === undefined ? {} : { credentials: checkCredentials(credentials) }),
  };
}

function checkParameters(parameters: URLSearchParams): void {
  for (const name of parameters.keys()) {
    if (!S3_PARAMETERS.has(name)) {
      throw invalid(name, `is no parameter; there are ${[...S3_PARAMETERS].join(', ')}`);
    }
    if (parameters.getAll(name).length > 1) throw invalid(name, 'is given twice');
    if (parameters.get(name) === '') throw invalid(name, 'is empty');
  }
}

function bucketOf(url: URL): string {
  if (url.port !== '') throw invalid('bucket', 'has no port: the server is the endpoint');
  const { hostname } = url;
  if (/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(hostname)) return hostname;
  const rule = '3 to 63 small letters, digits, dots and hyphens';
  throw invalid('bucket', `must be ${rule}, not ${JSON.stringify(hostname)}`);
}

function prefixOf(url: URL): string {
  let path: string;
  try {
    path = decodeURIComponent(url.pathname).replace(/^\/|\/$/g, '');
  } catch (error) {
    const message = 'object store: prefix has a % that begins no byte of UTF-8';
    throw new ObjectStoreError('STORE_INVALID', message, { cause: error });
  }
  if (path === '') return '';
  const prefix = `${path}/`;
  if (!isKey(path)) throw invalid('prefix', `must not have two slashes in a row, "." or ".."`);
  if (Buffer.byteLength(prefix) > PREFIX_BYTES_MAX) {
    throw invalid('prefix', `must have at most ${PREFIX_BYTES_MAX} bytes, its slash included`);
  }
  return prefix;
}

function endpointOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (!URL.canParse(text)) throw invalid('endpoint', 'must be a URL');
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw invalid('endpoint', 'must begin with https:// or http://');
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid('endpoint', 'must not hold credentials: they are given apart');
  }
  if (url.search !== '' || url.hash !== '') throw invalid('endpoint', 'must have no parameters');
  return text;
}

/** Servers of one's own seldom have a host name for every bucket. */
function pathStyleOf(text: string | undefined, endpoint: string | undefined): boolean {
  const told = oneOf('path-style', text, ['false', 'true']);
  return told === undefined ? endpoint !== undefined : told === 'true';
}

function encryptionOf(
  kind: string | undefined,
  keyId: string | undefined,
): S3Encryption | undefined {
  const known = oneOf('encryption', kind, ['AES256', 'aws:kms']);
  if (known === 'aws:kms') return keyId === undefined ? { kind: known } : { kind: known, keyId };
  if (keyId !== undefined) throw invalid('kms-key-id', 'needs encryption=aws:kms');
  return known === undefined ? undefined : { kind: known };
}

function checkCredentials(credentials: S3Credentials): S3Credentials {
  for (const field of ['accessKeyId', 'secretAccessKey'] as const) {
    if (credentials[field] === '') throw invalid(`credentials.${field}`, 'is empty');
  }
  return credentials;
}

function oneOf<T extends string>(
  field: string,
  value: string | undefined,
  known: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const found = known.find((each) => each === value);
  if (found !== undefined) return found;
  throw invalid(field, `must be ${known.join(' or ')}, not ${JSON.stringify(value)}`);
}

function number(
  field: string,
  value: string | undefined,
  min: number,
  max: number,
): number | undefined {
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (/^\d+$/.test(value) && parsed >= min && parsed <= max) return parsed;
  throw invalid(
    field,
    `must be a whole number from ${min} to ${max}, not ${JSON.stringify(value)}`,
  );
}

function invalid(field: string, what: string): ObjectStoreError {
  return new ObjectStoreError('STORE_INVALID', `object store: ${field} ${what}`);
}
