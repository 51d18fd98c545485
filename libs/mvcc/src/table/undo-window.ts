/**
 * What has to be undone to see a range of keys as it was, for as many keys as memory is meant to hold.
 *
 * In: the changes since a revision, in order. Out: the lowest changed keys of the range, each with what
 * its first change superseded: the version, or its absence, at that revision. It must never hold
 * more than its bounds, however many keys have changed: the highest go, and are left to the next window.
 */
import { type ChangeRowReader } from './change-row.js';
import { type ChangeScan } from './change-scan.js';
import { type KeyRange } from './keyspace.js';
import { Version } from './row-codec.js';
import { type MayGoOn } from './table-types.js';

/** Bounds of a window; where one is exceeded, the lower half stays. One key is always held. */
export const WINDOW_KEYS_MAX = 4_096;
export const WINDOW_BYTES_MAX = 8 * 1024 * 1024;

/** So many changes are looked at before it is asked again whether there is time. */
const UNASKED_CHANGES_MAX = 64;

export interface WindowBounds {
  readonly keysMax: number;
  readonly bytesMax: number;
}

export const WINDOW_BOUNDS: WindowBounds = {
  keysMax: WINDOW_KEYS_MAX,
  bytesMax: WINDOW_BYTES_MAX,
};

export interface Undo {
  readonly key: Buffer;
  /** Undefined: the key did not exist. */
  readonly row: Version | undefined;
}

export interface UndoWindow {
  /** By key. */
  readonly undos: readonly Undo[];
  /** The window speaks of keys up to and with this one; undefined: of all. */
  readonly upTo: Buffer | undefined;
}

/** A window in the making: reads the scan to its end, a piece at a time. */
export class WindowGather {
  private found = new Map<string, Undo>();
  private bytes = 0;
  private upTo: Buffer | undefined;

  /** With `keysOnly`, values are left out. */
  constructor(
    private readonly scan: ChangeScan,
    private readonly range: KeyRange,
    private readonly keysOnly: boolean,
    private readonly bounds: WindowBounds,
  ) {}

  /** The window, once it is whole. */
  run(mayGoOn: MayGoOn): UndoWindow | undefined {
    for (let looked = 1; ; looked++) {
      const change = this.scan.next();
      if (change === undefined) break;
      this.look(change);
      if (looked % UNASKED_CHANGES_MAX === 0 && !mayGoOn()) return undefined;
    }
    this.close();
    return { undos: [...this.found.values()].sort(byKey), upTo: this.upTo };
  }

  close(): void {
    this.scan.close();
  }

  private look(change: ChangeRowReader): void {
    const { range, found, keysOnly } = this;
    // Beyond the bound something was left out already, and within it the first change counts.
    const end = this.upTo ?? range.end;
    if (change.compareKey(range.start) < 0) return;
    if (end !== undefined && change.compareKey(end) >= 0) return;
    const name = change.keyName();
    if (found.has(name)) return;
    const undo = undoOf(change, keysOnly);
    found.set(name, undo);
    this.bytes += bytesOf(undo);
    const { keysMax, bytesMax } = this.bounds;
    if (found.size <= keysMax && this.bytes <= bytesMax) return;
    const kept = lowest([...found.values()], keysMax / 2, bytesMax / 2);
    this.found = new Map(kept.map((each) => [each.key.toString('latin1'), each]));
    this.bytes = kept.reduce((sum, each) => sum + bytesOf(each), 0);
    this.upTo = kept[kept.length - 1]?.key;
  }
}

/** A copy: views would keep whole rows in memory. */
function undoOf(change: ChangeRowReader, keysOnly: boolean): Undo {
  const key = Buffer.from(change.key());
  if (!change.hasSuperseded) return { key, row: undefined };
  if (keysOnly) return { key, row: Version.ofKey(key) };
  const row = change.superseded();
  if (row !== undefined) {
    row.key = key;
    row.value = Buffer.from(row.value);
  }
  return { key, row };
}

function bytesOf({ key, row }: Undo): number {
  return key.length + (row === undefined ? 0 : row.value.length);
}

function lowest(undos: Undo[], keysMax: number, bytesMax: number): Undo[] {
  undos.sort(byKey);
  let bytes = 0;
  let count = 0;
  for (const undo of undos) {
    bytes += bytesOf(undo);
    if (count > 0 && (count >= keysMax || bytes > bytesMax)) break;
    count += 1;
  }
  return undos.slice(0, count);
}

function byKey(one: Undo, other: Undo): number {
  return Buffer.compare(one.key, other.key);
}
