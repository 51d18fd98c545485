/** Keys and values between the command line and the wire. */
import { UsageError } from './usage-error.js';

const ZERO = Buffer.from([0]);

/** Which keys a command is about, as the API takes it. */
export interface KeyRange {
  readonly key: Buffer;
  /** Absent for a single key. */
  readonly rangeEnd?: Buffer;
}

export interface RangeFlags {
  readonly prefix?: boolean;
  readonly fromKey?: boolean;
}

/** The first key after all that begin with `prefix`; one zero byte if there is none. */
export function prefixEnd(prefix: Uint8Array): Buffer {
  const end = Buffer.from(prefix);
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end.readUInt8(at);
    if (byte < 0xff) {
      end.writeUInt8(byte + 1, at);
      return end.subarray(0, at + 1);
    }
  }
  return ZERO;
}

/** Key and flags as a range. An empty key with --prefix or --from-key means all keys. */
export function keyRange(key: string, rangeEnd: string | undefined, flags: RangeFlags): KeyRange {
  if (flags.prefix && flags.fromKey) {
    throw new UsageError('--prefix and --from-key cannot be set at the same time');
  }
  if (rangeEnd !== undefined && (flags.prefix || flags.fromKey)) {
    throw new UsageError('a second key cannot be given together with --prefix or --from-key');
  }
  const first = Buffer.from(key);
  if (flags.fromKey) return { key: first.length > 0 ? first : ZERO, rangeEnd: ZERO };
  if (flags.prefix) {
    return first.length > 0
      ? { key: first, rangeEnd: prefixEnd(first) }
      : { key: ZERO, rangeEnd: ZERO };
  }
  if (first.length === 0) throw new UsageError('the key must not be empty');
  return rangeEnd === undefined ? { key: first } : { key: first, rangeEnd: Buffer.from(rangeEnd) };
}

/** A key or value for a line of output. */
export function printable(bytes: Buffer, hex: boolean): string | Buffer {
  if (!hex) return bytes;
  return [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}
