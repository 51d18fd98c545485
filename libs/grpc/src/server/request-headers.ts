/**
 * What the headers of a request say before any message is read.
 *
 * In: header values as they came. Out: a deadline, a status to refuse with, a status message ready
 * for its header.
 *
 * Must never accept a timeout that the protocol does not allow, nor let one overflow.
 */

const MS_PER_UNIT: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;

/**
 * `grpc-timeout` as a moment. Undefined when there is none; `malformed` when it is not a timeout.
 */
export function parseDeadline(
  timeout: string | undefined,
  nowMs: number,
): number | undefined | 'malformed' {
  if (timeout === undefined) {
    return undefined;
  }
  const [, digits, unit] = TIMEOUT.exec(timeout) ?? [];
  const unitMs = unit === undefined ? undefined : MS_PER_UNIT[unit];
  return unitMs === undefined ? 'malformed' : nowMs + Math.ceil(Number(digits) * unitMs);
}

/** `grpc-message` holds printable ASCII; the rest, and the sign itself, as %XX of its UTF-8. */
export function encodeStatusMessage(message: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(message)) {
    return message;
  }
  let encoded = '';
  for (const byte of Buffer.from(message, 'utf8')) {
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** The text with lone surrogates replaced, which no encoder of URIs accepts. */
export function toWellFormed(text: string): string {
  return /[\uD800-\uDFFF]/.test(text) ? Buffer.from(text, 'utf8').toString('utf8') : text;
}
