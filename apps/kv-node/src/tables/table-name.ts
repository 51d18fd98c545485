/**
 * What a table may be called. A name ends up in metrics, file names of backups and log lines, so
 * it holds no path, no control byte, and has a bound.
 */
export const TABLE_NAME_BYTES_MAX = 255;

const CONTROL = /\p{Cc}/u;
const PATH = /[/\\]/;

/** Why the name is refused; undefined when it is fine. The texts name the field of the request. */
export function whyNameInvalid(name: string): string | undefined {
  if (name.length === 0) return 'name must be set';
  if (Buffer.byteLength(name) > TABLE_NAME_BYTES_MAX) {
    return `name must be at most ${TABLE_NAME_BYTES_MAX} bytes long`;
  }
  if (CONTROL.test(name)) return 'name must not contain control characters';
  if (PATH.test(name)) return 'name must not contain slashes or backslashes';
  if (name === '.' || name === '..') return `name must not be "${name}"`;
  if (name.trim() !== name) return 'name must not begin or end with white space';
  return undefined;
}
