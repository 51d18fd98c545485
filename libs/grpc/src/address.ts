/**
 * Addresses as operators write them: `http://host:port`, `https://host:port`, `unix:///path` and
 * `unixs:///path`.
 *
 * In: the text and the name of the setting that it came from. Out: its parts.
 *
 * Must never guess: a missing port, a path behind a host or an unknown scheme is an error whose
 * text names the setting and shows what would be right.
 */
import { GrpcError } from './errors.js';

export type AddressScheme = 'http' | 'https' | 'unix' | 'unixs';

/** Where a socket is. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly secure: boolean; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly secure: boolean; readonly path: string };

const EXPECTED =
  'expected http://host:port, https://host:port, unix:///absolute/path or unixs:///absolute/path';

/** The longest path that fits in a socket address of Linux, its closing zero not counted. */
const UNIX_PATH_BYTES_MAX = 107;

const TCP = /^(https?):\/\/(?:\[([0-9a-fA-F:.%]+)\]|([^/:@?#\s]*)):(\d{1,5})\/?$/;
const UNIX = /^(unixs?):\/\/(\/[^\0]*)$/;

/** Parses an address; `field` is the setting's name, put in front of what is wrong. */
export function parseAddress(text: string, field: string): ListenAddress {
  const tcp = TCP.exec(text);
  if (tcp !== null) {
    const [, scheme, hostV6, hostName, portText] = tcp;
    const host = hostV6 ?? hostName ?? '';
    const port = Number(portText);
    if (port > 65535) {
      throw invalid(field, text, 'the port must be between 0 and 65535');
    }
    return { kind: 'tcp', secure: scheme === 'https', host: host === '' ? '0.0.0.0' : host, port };
  }
  const unix = UNIX.exec(text);
  if (unix !== null) {
    const [, scheme, path = ''] = unix;
    if (path.endsWith('/')) {
      throw invalid(field, text, 'the path must name a socket, not a folder');
    }
    if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) {
      throw invalid(field, text, `the path is longer than ${UNIX_PATH_BYTES_MAX} bytes`);
    }
    return { kind: 'unix', secure: scheme === 'unixs', path };
  }
  throw invalid(field, text, EXPECTED);
}

function invalid(field: string, text: string, reason: string): GrpcError {
  return new GrpcError('ADDRESS_INVALID', `${field}: "${text}" is not an address: ${reason}`);
}

/** The address as it would be written; `port` replaces a port of 0 that was asked for. */
export function formatAddress(address: ListenAddress, port?: number): string {
  if (address.kind === 'unix') {
    return `${address.secure ? 'unixs' : 'unix'}://${address.path}`;
  }
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${address.secure ? 'https' : 'http'}://${host}:${port ?? address.port}`;
}
