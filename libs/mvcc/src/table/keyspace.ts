/**
 * Where the rows of one table lie in the shared engine (docs/formats/table-rows.md).
 *
 * In: user keys, epochs and revisions. Out: engine keys and ranges, whose byte order is the order of
 * their parts. User keys are any bytes, and nothing ever follows one. Two tables must never share a
 * key.
 */
import { type EngineRange } from '../engine/engine.js';
import { type ChangeRowPlace } from './change-row.js';
import { damaged, readUint64, writeUint64 } from './varint.js';

/** Areas of a slot, as they stand in the keys of the first one and in a snapshot. */
export const META = 0x00;
export const LIVE = 0x01;
export const CHANGES = 0x02;
const AREA_END = 0x03;

/** A table has two slots; the second one's areas begin here. */
const SLOT_AREAS = 0x08;
/** Rows of the table as a whole, behind those of both slots. */
const STAGING = 0xfd;
const STAGED = 0xfe;
const ACTIVE = 0xff;

/** Table id and area. */
const PREFIX_BYTES = 5;
const TABLE_ID_BYTES = 4;
const AREA_BYTES = 1;
const EPOCH_BYTES = 4;
const REVISION_BYTES = 8;
const CHUNK_BYTES = 4;
const UINT32_MAX = 0xffffffff;

/** Keys from `start`, up to and without `end`; without an `end`, all that follow. */
export interface KeyRange {
  start: Uint8Array;
  end: Uint8Array | undefined;
}

/**
 * The range a request names. One zero byte as the end means "every key from the start"; the caller
 * has told a single key (no end at all) apart before.
 */
export function keyRangeOf(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  const isOpen = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return { start: key, end: isOpen ? undefined : rangeEnd };
}

export function isEmptyRange(range: KeyRange): boolean {
  return range.end !== undefined && Buffer.compare(range.start, range.end) >= 0;
}

export function isInRange(key: Uint8Array, range: KeyRange): boolean {
  return (
    Buffer.compare(key, range.start) >= 0 &&
    (range.end === undefined || Buffer.compare(key, range.end) < 0)
  );
}

/** Where a change row lies, its number among those of the same last revision left out. */
export interface ChangePosition {
  epoch: number;
  revision: number;
}

/** Which of its two places the rows of a table lie in. */
export type Slot = 0 | 1;

export function otherSlot(slot: Slot): Slot {
  return slot === 0 ? 1 : 0;
}

export class Keyspace {
  readonly metaKey: Buffer;
  private readonly firstArea: number;

  constructor(
    private readonly tableId: number,
    readonly slot: Slot = 0,
  ) {
    if (!Number.isInteger(tableId) || tableId < 0 || tableId > UINT32_MAX) {
      throw new RangeError(`table id ${tableId} is not an unsigned 32-bit integer`);
    }
    this.firstArea = slot * SLOT_AREAS;
    this.metaKey = this.areaKey(META, 0);
  }

  /** Says which slot is in use, and what it began as. */
  get activeKey(): Buffer {
    return this.tableKey(ACTIVE);
  }

  /** There while the other slot holds a whole state that waits to be used. */
  get stagedKey(): Buffer {
    return this.tableKey(STAGED);
  }

  /** Says how much of a state lies in the other slot that is still being gathered there. */
  get stagingKey(): Buffer {
    return this.tableKey(STAGING);
  }

  /** An engine key of this slot without table id and slot. */
  portableKey(engineKey: Buffer): Buffer {
    const key = Buffer.from(engineKey.subarray(TABLE_ID_BYTES));
    key[0] = (key[0] ?? 0) - this.firstArea;
    return key;
  }

  /** The engine key in this slot of a key without table id and slot. */
  engineKey(portable: Uint8Array): Buffer {
    const area = portable[0];
    if (area === undefined || area >= AREA_END) throw damaged('a row lies in no area of a table');
    const target = this.areaKey(area, portable.length - 1);
    target.set(portable.subarray(1), PREFIX_BYTES);
    return target;
  }

  /** Every row of the table: both slots, and what is said of them. */
  wholeTable(): EngineRange {
    const first = Buffer.alloc(PREFIX_BYTES);
    first.writeUInt32BE(this.tableId, 0);
    return { gte: first, lt: Buffer.concat([this.activeKey, Buffer.alloc(1)]) };
  }

  /** Every row of the slot. */
  everything(): EngineRange {
    return { gte: this.areaKey(META, 0), lt: this.areaKey(AREA_END, 0) };
  }

  liveKey(key: Uint8Array): Buffer {
    const target = this.areaKey(LIVE, key.length);
    target.set(key, PREFIX_BYTES);
    return target;
  }

  userKeyOfLive(engineKey: Buffer): Buffer {
    return engineKey.subarray(PREFIX_BYTES);
  }

  liveRange(range: KeyRange): EngineRange {
    const lt = range.end === undefined ? this.areaKey(CHANGES, 0) : this.liveKey(range.end);
    return { gte: this.liveKey(range.start), lt };
  }

  /** Row of changes, by the last revision in it. */
  changeKey({ epoch, revision, chunk }: ChangeRowPlace): Buffer {
    const target = this.areaKey(CHANGES, EPOCH_BYTES + REVISION_BYTES + CHUNK_BYTES);
    target.writeUInt32BE(epoch, PREFIX_BYTES);
    const at = writeUint64(target, PREFIX_BYTES + EPOCH_BYTES, revision);
    target.writeUInt32BE(chunk, at);
    return target;
  }

  /** Change rows whose last revisions are those from one position up to and with another. */
  changeRange(first: ChangePosition, last: ChangePosition): EngineRange {
    return {
      gte: this.changeKey({ ...first, chunk: 0 }),
      lt: this.changeKey({ epoch: last.epoch, revision: last.revision + 1, chunk: 0 }),
    };
  }

  private areaKey(area: number, restBytes: number): Buffer {
    const target = Buffer.allocUnsafe(PREFIX_BYTES + restBytes);
    target.writeUInt32BE(this.tableId, 0);
    target[TABLE_ID_BYTES] = this.firstArea + area;
    return target;
  }

  private tableKey(mark: number): Buffer {
    const target = Buffer.allocUnsafe(PREFIX_BYTES);
    target.writeUInt32BE(this.tableId, 0);
    target[TABLE_ID_BYTES] = mark;
    return target;
  }
}

/** The table id that an engine key begins with. */
export function tableIdOf(engineKey: Buffer): number {
  return engineKey.readUInt32BE(0);
}

/** Where the row of an engine key, or of one without table id and slot, lies. */
export function placeOfChanges(key: Buffer): ChangeRowPlace {
  const at = key.length - EPOCH_BYTES - REVISION_BYTES - CHUNK_BYTES;
  if (at !== PREFIX_BYTES && at !== AREA_BYTES) throw damaged('a change key has the wrong length');
  return {
    epoch: key.readUInt32BE(at),
    revision: readUint64(key, at + EPOCH_BYTES),
    chunk: key.readUInt32BE(at + EPOCH_BYTES + REVISION_BYTES),
  };
}
