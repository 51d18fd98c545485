/**
 * `host:port` as settings write it, e.g. `127.0.0.1:5012` or `[::1]:5012`.
 *
 * In: text. Out: its parts, or undefined where it is not such an address. Addresses with a scheme
 * belong to the gRPC library, which listens on them.
 */
import { PlatformError } from '../platform-error.js';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const PORT_MAX = 65_535;

/** Splits `host:port`; an IPv6 host stands in brackets. The host may be empty: every interface. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^\s:/@[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? -1);
  if (match === null || port > PORT_MAX) return undefined;
  return { host: match[1] ?? match[2] ?? '', port };
}

/** For values that validation has let through: anything else is a defect, so it throws. */
export function hostPortOf(text: string): HostPort {
  const parsed = parseHostPort(text);
  if (parsed === undefined) throw new PlatformError('CONFIG_VALUE', `not host:port: ${text}`);
  return parsed;
}
