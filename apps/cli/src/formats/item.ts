/**
 * What an import is made of, whatever it comes from: rows, and places where there should be one.
 */
export interface Row {
  readonly kind: 'row';
  readonly key: Buffer;
  readonly value: Buffer;
  /** `file:line`, or the path of a file. */
  readonly where: string;
}

export interface BadRow {
  readonly kind: 'bad';
  readonly where: string;
  readonly reason: string;
}

export type ImportItem = Row | BadRow;

/** Items as they come, several at a time, so that a row costs no turn of the loop of its own. */
export type ItemSource = AsyncIterable<readonly ImportItem[]>;

/** The limits of the API: what is larger is refused here already, by name. */
export const KEY_BYTES_MAX = 1024;
export const VALUE_BYTES_MAX = 2 * 1024 * 1024;

/** Why the API would refuse this row; undefined if it would not. */
export function whyRefused(key: Uint8Array, valueBytes: number): string | undefined {
  if (key.length === 0) return 'the key is empty';
  if (key.length > KEY_BYTES_MAX) return `the key has ${key.length} bytes, max ${KEY_BYTES_MAX}`;
  if (valueBytes > VALUE_BYTES_MAX)
    return `the value has ${valueBytes} bytes, max ${VALUE_BYTES_MAX}`;
  return undefined;
}
