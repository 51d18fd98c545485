/**
 * The check of an entry as messages and the log of the program have it.
 *
 * In: a check, or none where it is not known. Out: its 16 hexadecimal digits, the term first.
 */
export function shownCheck(check: bigint | undefined): string {
  return check === undefined ? 'unknown' : check.toString(16).padStart(16, '0');
}
