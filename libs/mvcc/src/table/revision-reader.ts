/**
 * The table as it was at a revision that has not been compacted.
 *
 * In: a revision between the compacted and the newest one. Out: the versions live then. What has not
 * changed since is a live row; of what has, the first change after the revision tells what there was.
 * Each read passes over all changes since the revision, a range once for each window of
 * changed keys. It shows the moment it was opened, and must never mix it with another: if that is
 * gone before its end, it throws.
 */
import { type Engine } from '../engine/engine.js';
import { ChangeScan } from './change-scan.js';
import { isEmptyRange, type Keyspace, type KeyRange } from './keyspace.js';
import { decodeVersion, Version } from './row-codec.js';
import {
  type CursorOptions,
  EMPTY_CURSOR,
  type LatestReader,
  PagedItems,
  type RowCursor,
  type RowReader,
  SCAN_PAGE_BYTES_MAX,
} from './row-reader.js';
import { TableError } from './table-error.js';
import { type MayGoOn } from './table-types.js';
import { type UndoWindow, WINDOW_BOUNDS, type WindowBounds, WindowGather } from './undo-window.js';
import { damaged } from './varint.js';

/** What a read at a revision goes by. */
export interface RevisionView {
  readonly engine: Engine;
  readonly keyspace: Keyspace;
  readonly latest: LatestReader;
  readonly epoch: number;
  readonly revision: number;
  /** The newest revision there is. */
  readonly newestNow: () => number;
  /** Whether the changes since the revision are not all there any more. */
  readonly isOvertaken: () => boolean;
}

const NOTHING: UndoWindow = { undos: [], upTo: undefined };
const ZERO = Buffer.alloc(1);
const EMPTY = Buffer.alloc(0);
const ALWAYS: MayGoOn = () => true;

export class RevisionReader implements RowReader {
  constructor(
    private readonly view: RevisionView,
    private readonly bounds: WindowBounds = WINDOW_BOUNDS,
  ) {}

  get(key: Uint8Array): Version | undefined {
    const live = this.view.latest.get(key);
    if (live !== undefined && wasMade(this.view, live)) return live;
    const scan = openScan(this.view, this.view.newestNow());
    try {
      for (let change = scan.next(); change !== undefined; change = scan.next()) {
        if (change.compareKey(key) === 0) return change.superseded();
      }
    } finally {
      scan.close();
    }
    if (live !== undefined) throw unexplained();
    return undefined;
  }

  open(options: CursorOptions): RowCursor {
    if (isEmptyRange(options.range)) return EMPTY_CURSOR;
    return new RevisionCursor(this.view, options, this.bounds);
  }
}

class RevisionCursor implements RowCursor {
  private readonly live: PagedItems;
  private nextLive: Version | undefined;
  private window = NOTHING;
  /** The next window, until it is whole. */
  private gather: WindowGather | undefined;
  private at = 0;
  private readonly newest: number;

  constructor(
    private readonly view: RevisionView,
    private readonly options: CursorOptions,
    private readonly bounds: WindowBounds,
  ) {
    this.newest = view.newestNow();
    // Both at once: the changes and the live rows are of one moment.
    this.gather = this.openWindow(options.range);
    const iterator = view.engine.iterator({
      ...view.keyspace.liveRange(options.range),
      content: 'values',
      pageBytesMax: SCAN_PAGE_BYTES_MAX,
    });
    this.live = new PagedItems(iterator, options.rowsHint);
    this.passLive();
  }

  prepare(mayGoOn: MayGoOn): boolean {
    if (this.gather === undefined && this.isWindowOver) this.goOnAbove();
    if (this.gather === undefined) return true;
    const window = this.gather.run(mayGoOn);
    if (window === undefined) return false;
    this.window = window;
    this.at = 0;
    this.gather = undefined;
    return true;
  }

  next(): Version | undefined {
    for (;;) {
      while (this.gather !== undefined || this.isWindowOver) this.prepare(ALWAYS);
      const undo = this.window.undos[this.at];
      const live = this.nextLive;
      if (undo !== undefined) {
        const order = live === undefined ? -1 : Buffer.compare(undo.key, live.key);
        if (order <= 0) {
          this.at += 1;
          if (order === 0) this.passLive();
          if (undo.row !== undefined) return undo.row;
          continue;
        }
      }
      if (live === undefined) return undefined;
      if (!wasMade(this.view, live)) throw unexplained();
      this.passLive();
      return this.options.keysOnly ? Version.ofKey(live.key) : live;
    }
  }

  close(): void {
    this.live.close();
    this.gather?.close();
    this.gather = undefined;
    this.nextLive = undefined;
    this.window = NOTHING;
    this.at = 0;
  }

  private passLive(): void {
    const item = this.live.next();
    this.nextLive = item === undefined ? undefined : decodeVersion(item);
  }

  private get isWindowOver(): boolean {
    const { undos, upTo } = this.window;
    if (upTo === undefined || undos[this.at] !== undefined) return false;
    return this.nextLive === undefined || isAbove(this.nextLive.key, upTo);
  }

  private goOnAbove(): void {
    if (this.view.isOvertaken()) {
      const message = `revision ${this.view.revision} was given up while it was read`;
      throw new TableError('TABLE_COMPACTED', message);
    }
    const { end } = this.options.range;
    // The first key above another one is that one and a zero byte.
    const start = Buffer.concat([this.window.upTo ?? EMPTY, ZERO]);
    this.gather = this.openWindow({ start, end });
  }

  private openWindow(range: KeyRange): WindowGather {
    const scan = openScan(this.view, this.newest);
    return new WindowGather(scan, range, this.options.keysOnly, this.bounds);
  }
}

/** What changed after the moment of the read would add work, and nothing else. */
function openScan(view: RevisionView, newest: number): ChangeScan {
  const { engine, keyspace, epoch, revision } = view;
  return new ChangeScan(engine, keyspace, { epoch, after: revision, upTo: newest });
}

/** Versions of an earlier epoch were there before every revision of this one. */
function wasMade({ epoch, revision }: RevisionView, row: Version): boolean {
  return row.epoch < epoch || row.modRevision <= revision;
}

function isAbove(key: Buffer, bound: Buffer): boolean {
  return Buffer.compare(key, bound) > 0;
}

function unexplained(): TableError {
  return damaged('a version is newer than every change that is known of its key');
}
