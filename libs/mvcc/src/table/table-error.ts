/**
 * The one error of a table.
 *
 * In: a request a table cannot answer, or an entry it must not apply. Out: a stable code and the
 * cause. Codes marked *invariant* mean that the log or the caller is broken: the process should end.
 * It must never be thrown for what a client may put into a well-formed command.
 */

export type TableErrorCode =
  /** The revision asked for was compacted away. */
  | 'TABLE_COMPACTED'
  /** The revision asked for has not been reached. */
  | 'TABLE_FUTURE_REVISION'
  /** More keys have changed than can be told as changes. */
  | 'TABLE_CHANGES_TOO_MANY'
  /** The table was destroyed or the iterator closed. */
  | 'TABLE_CLOSED'
  /** A chunk of a snapshot is damaged, missing or out of order. */
  | 'TABLE_SNAPSHOT_DAMAGED'
  /** Invariant: no whole state is staged, or one that is not newer. */
  | 'TABLE_NOT_STAGED'
  /** Invariant: an entry's bytes are not a command. */
  | 'TABLE_COMMAND_MALFORMED'
  /** Invariant: a command of a type this version does not know. */
  | 'TABLE_COMMAND_UNKNOWN'
  /** Invariant: entries were not given in the order of the log. */
  | 'TABLE_ENTRY_ORDER'
  /** Invariant: the table was stored by an earlier version, in a format that is not read any more. */
  | 'TABLE_FORMAT_OLD'
  /** Invariant: a stored row cannot be read. */
  | 'TABLE_ROW_CORRUPT';

export class TableError extends Error {
  readonly code: TableErrorCode;
  /** A table's answer depends on its state alone, so the same call gives the same error. */
  readonly retryable = false;

  constructor(code: TableErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'TableError';
    this.code = code;
  }
}
