/** The static table of HPACK (RFC 7541, appendix A); index 1 is the first. */

export interface HeaderField {
  readonly name: string;
  readonly value: string;
}

const FIELDS: readonly (readonly [name: string, value?: string])[] = [
  [':authority'],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset'],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language'],
  ['accept-ranges'],
  ['accept'],
  ['access-control-allow-origin'],
  ['age'],
  ['allow'],
  ['authorization'],
  ['cache-control'],
  ['content-disposition'],
  ['content-encoding'],
  ['content-language'],
  ['content-length'],
  ['content-location'],
  ['content-range'],
  ['content-type'],
  ['cookie'],
  ['date'],
  ['etag'],
  ['expect'],
  ['expires'],
  ['from'],
  ['host'],
  ['if-match'],
  ['if-modified-since'],
  ['if-none-match'],
  ['if-range'],
  ['if-unmodified-since'],
  ['last-modified'],
  ['link'],
  ['location'],
  ['max-forwards'],
  ['proxy-authenticate'],
  ['proxy-authorization'],
  ['range'],
  ['referer'],
  ['refresh'],
  ['retry-after'],
  ['server'],
  ['set-cookie'],
  ['strict-transport-security'],
  ['transfer-encoding'],
  ['user-agent'],
  ['vary'],
  ['via'],
  ['www-authenticate'],
];

/** Entry 0 is no entry. */
export const STATIC_TABLE: readonly HeaderField[] = [
  { name: '', value: '' },
  ...FIELDS.map(([name, value = '']) => ({ name, value })),
];

/** First index of a dynamic table. */
export const DYNAMIC_FIRST = STATIC_TABLE.length;

/** What an entry counts beside its name and value. */
export const ENTRY_OVERHEAD_BYTES = 32;

export function fieldBytes(name: string, value: string): number {
  return name.length + value.length + ENTRY_OVERHEAD_BYTES;
}

const BY_FIELD = new Map<string, number>();
const BY_NAME = new Map<string, number>();
STATIC_TABLE.forEach(({ name, value }, index) => {
  if (index === 0) return;
  if (value !== '') BY_FIELD.set(`${name}\0${value}`, index);
  if (!BY_NAME.has(name)) BY_NAME.set(name, index);
});

/** Index of a field with this value; 0 if there is none. */
export function staticFieldIndex(key: string): number {
  return BY_FIELD.get(key) ?? 0;
}

/** Index of a field with this name; 0 if there is none. */
export function staticNameIndex(name: string): number {
  return BY_NAME.get(name) ?? 0;
}
