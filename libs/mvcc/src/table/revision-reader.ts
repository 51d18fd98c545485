/**
 * The table as it was at a revision that has not been compacted.
 *
 * In: a revision between the compacted and the newest one. Out: the versions live then: newest rows
 * that old already, and superseded rows whose span holds the revision. At most one of them exists per
 * key, so both areas are merged by key without comparing versions.
 */
import { type Engine, type EngineRange } from '../engine/engine.js';
import { isEmptyRange, type Keyspace } from './keyspace.js';
import { decodeSuperseded, decodeVersion, type SupersededVersion, Version } from './row-codec.js';
import {
  type CursorOptions,
  EMPTY_CURSOR,
  type LatestReader,
  PagedItems,
  type RowCursor,
  type RowReader,
  SCAN_PAGE_BYTES_MAX,
} from './row-reader.js';

export class RevisionReader implements RowReader {
  constructor(
    private readonly engine: Engine,
    private readonly keyspace: Keyspace,
    private readonly latest: LatestReader,
    private readonly epoch: number,
    private readonly revision: number,
  ) {}

  get(key: Uint8Array): Version | undefined {
    const live = this.latest.get(key);
    if (live !== undefined && this.wasMade(live)) return live;
    const iterator = this.engine.iterator({
      gte: this.keyspace.historyKey(this.epoch, key, 0),
      lt: this.keyspace.historyKey(this.epoch, key, this.revision + 1),
      reverse: true,
      content: 'values',
    });
    const [encoded] = iterator.read(1).items;
    iterator.close();
    if (encoded === undefined) return undefined;
    const superseded = decodeSuperseded(encoded);
    return this.wasLive(superseded) ? superseded.row : undefined;
  }

  open({ range, keysOnly, rowsHint }: CursorOptions): RowCursor {
    if (isEmptyRange(range)) return EMPTY_CURSOR;
    const liveRange = this.keyspace.liveRange(range);
    const historyRange = this.keyspace.historyRange(this.epoch, range);
    const live = this.itemsOf(liveRange, rowsHint);
    const history = this.itemsOf(historyRange, rowsHint);
    let nextLive = this.nextLive(live);
    let nextOld = this.nextOld(history);
    return {
      next: () => {
        let row: Version | undefined;
        if (isFirst(nextLive, nextOld)) {
          row = nextLive;
          nextLive = this.nextLive(live);
        } else {
          row = nextOld;
          nextOld = this.nextOld(history);
        }
        return keysOnly && row !== undefined ? Version.ofKey(row.key) : row;
      },
      close: () => {
        live.close();
        history.close();
      },
    };
  }

  private itemsOf(range: EngineRange, hint: number): PagedItems {
    const options = { ...range, content: 'values', pageBytesMax: SCAN_PAGE_BYTES_MAX } as const;
    return new PagedItems(this.engine.iterator(options), hint);
  }

  private nextLive(items: PagedItems): Version | undefined {
    for (let item = items.next(); item !== undefined; item = items.next()) {
      const row = decodeVersion(item);
      if (this.wasMade(row)) return row;
    }
    return undefined;
  }

  private nextOld(items: PagedItems): Version | undefined {
    for (let item = items.next(); item !== undefined; item = items.next()) {
      const superseded = decodeSuperseded(item);
      if (this.wasLive(superseded)) return superseded.row;
    }
    return undefined;
  }

  /** Versions of an earlier epoch were there before every revision of this one. */
  private wasMade(row: Version): boolean {
    return row.epoch < this.epoch || row.modRevision <= this.revision;
  }

  private wasLive({ row, endRevision }: SupersededVersion): boolean {
    return this.wasMade(row) && this.revision < endRevision;
  }
}

function isFirst(one: Version | undefined, other: Version | undefined): boolean {
  if (one === undefined) return false;
  return other === undefined || Buffer.compare(one.key, other.key) < 0;
}
