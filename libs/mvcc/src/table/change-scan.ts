/**
 * What changed within a span of revisions, in order.
 *
 * In: an epoch and two revisions. Out: changes, one by one. A row is found by the last revision in it, so
 * the first one may begin before the span: what is not of it is passed over. Shows the moment it was
 * opened, and must be closed.
 */
import { type Engine } from '../engine/engine.js';
import { ChangeRowReader } from './change-row.js';
import { type Keyspace } from './keyspace.js';
import { PagedItems, ROWS_HINT_DEFAULT, SCAN_PAGE_BYTES_MAX } from './row-reader.js';

export interface RevisionSpan {
  readonly epoch: number;
  /** Changes of this revision are not given ... */
  readonly after: number;
  /** ... and those of this one are the last. */
  readonly upTo: number;
}

export class ChangeScan {
  private readonly rows: PagedItems;
  private row: ChangeRowReader | undefined;

  constructor(
    engine: Engine,
    keyspace: Keyspace,
    private readonly span: RevisionSpan,
  ) {
    const { epoch, after, upTo } = span;
    const range = keyspace.changeRange({ epoch, revision: after + 1 }, { epoch, revision: upTo });
    const options = { ...range, content: 'values', pageBytesMax: SCAN_PAGE_BYTES_MAX } as const;
    this.rows = new PagedItems(engine.iterator(options), ROWS_HINT_DEFAULT);
  }

  /** The next change; valid until the next call. */
  next(): ChangeRowReader | undefined {
    for (;;) {
      while (this.row?.next()) if (this.row.revision > this.span.after) return this.row;
      const item = this.rows.next();
      if (item === undefined) return undefined;
      this.row = new ChangeRowReader(item);
    }
  }

  close(): void {
    this.rows.close();
    this.row = undefined;
  }
}
