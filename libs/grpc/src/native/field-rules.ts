/** What RFC 9113 (8.2) says of the names and values of header fields. */

const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** No control characters but tab: what is above ASCII may pass. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Fields that speak of a connection of HTTP/1. */
const OF_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

/** Why a field that is not a pseudo-header may not be there; undefined if it may. */
export function whyForbidden(name: string, value: string): string | undefined {
  return isValue(value)
    ? whyForbiddenName(name)
    : `the value of ${name} holds a forbidden character`;
}

export function whyForbiddenName(name: string): string | undefined {
  if (OF_CONNECTION.has(name)) return `the header ${name} is not for HTTP/2`;
  if (!NAME.test(name)) return 'a header name holds a character that is not allowed';
  return undefined;
}

export function isValue(value: string): boolean {
  return VALUE.test(value);
}

/** Names that gRPC or HTTP/2 keep for themselves: no metadata. */
export function isReserved(name: string): boolean {
  return (
    name === 'te' ||
    name === 'content-type' ||
    name === 'content-length' ||
    name === 'accept-encoding' ||
    (name.startsWith('grpc-') && name !== 'grpc-status-details-bin' && name !== 'grpc-trace-bin')
  );
}
