/**
 * The newest versions of keys that are asked for often, for all tables of a node, before the engine.
 *
 * In: versions as they are read and written. Out: the same, for as long as they are kept. Whoever
 * writes a table tells its part of the cache in the same tick, so what is found here is what the
 * engine holds. Bounded in bytes; what does not fit goes in the order of S3-FIFO (Yang et al., 2023):
 *
 *   new --> newcomers --(asked for again)--> proven --(asked for since)--> proven once more
 *                 \--> gone                     \--> gone
 *
 * Both queues are logs of segments: making room gives up a whole segment and moves what has proved
 * itself out of it. Nothing lies on the heap for an entry, and no step depends on how many there are.
 */
import { type Version } from '../table/row-codec.js';
import {
  ABSENT_KEY,
  DEAD,
  entryBytes,
  type NewEntry,
  PROVEN,
  Segment,
  UNIT_BYTES,
  USES,
} from './segment.js';

/** Default bound of all that the cache holds. */
export const VERSION_CACHE_BYTES_DEFAULT = 64 * 1024 * 1024;
/** Bounds of one segment; giving one up takes some hundred microseconds. */
const SEGMENT_BYTES_MAX = 256 * 1024;
const SEGMENT_BYTES_MIN = 512;
/** How many segments a cache is made of, where their size allows. */
const SEGMENTS_WANTED = 64;
/** An entry is no larger than this part of a segment; what is larger is not kept. */
const ENTRY_SEGMENT_SHARE = 1 / 4;
/** Part of a segment that may move on when it is given up: each time, at least the rest is won. */
const MOVED_SEGMENT_SHARE = 1 / 2;
/** Newcomers may take this part of the segments before proven entries have to go. */
const NEWCOMERS_SHARE = 1 / 8;
/** Bytes of cache for each chain of the index. */
const BYTES_PER_CHAIN = 256;
/** Entries with the same place in the index; one more, and the one asked for least lately goes. */
const CHAIN_ENTRIES_MAX = 16;
/** Addresses are 31 bits of units. */
export const VERSION_CACHE_BYTES_MAX = 2 ** 30 * UNIT_BYTES;

/** What is known of a key that does not exist. */
export const ABSENT = Symbol('absent');

export interface VersionCacheStats {
  readonly hits: number;
  readonly misses: number;
  /** Entries that had to go to make room. */
  readonly evictions: number;
  readonly entries: number;
  /** Memory in use. */
  readonly bytes: number;
}

export interface VersionCacheOptions {
  readonly bytesMax?: number;
  /** Makes the order of the index unpredictable from outside. */
  readonly seed?: number;
}

/** The part of the cache that belongs to one table. */
export class TableVersions {
  constructor(
    private readonly cache: VersionCache,
    private owner: number,
  ) {}

  /** The newest version, `ABSENT` if there is none, undefined if that is not known here. */
  get(key: Uint8Array): Version | typeof ABSENT | undefined {
    return this.cache.get(this.owner, key);
  }

  /** What the engine holds of a key now. */
  set(key: Uint8Array, row: Version | undefined): void {
    this.cache.set(this.owner, key, row);
  }

  /** Forgets a key. */
  drop(key: Uint8Array): void {
    this.cache.drop(this.owner, key);
  }

  /** Forgets every key of the table, in one step. */
  clear(): void {
    this.owner = this.cache.renew(this.owner);
  }

  /** The table is gone. */
  close(): void {
    this.cache.leave(this.owner);
  }
}

export class VersionCache {
  private readonly chains: Int32Array;
  private readonly segmentBytes: number;
  private readonly segmentsMax: number;
  private readonly unitBits: number;
  private readonly unitMask: number;
  private readonly places: (Segment | undefined)[] = [];
  private readonly freePlaces: number[] = [];
  private readonly newcomers: Segment[] = [];
  private readonly proven: Segment[] = [];
  private readonly owners = new Set<number>();
  private readonly seed: number;
  private lastOwner = 0;
  private hits = 0;
  private misses = 0;
  private evictions = 0;
  private entries = 0;

  constructor({ bytesMax = VERSION_CACHE_BYTES_DEFAULT, seed = 0 }: VersionCacheOptions = {}) {
    if (bytesMax > VERSION_CACHE_BYTES_MAX) {
      throw new RangeError(`a cache of ${bytesMax} bytes is not possible`);
    }
    const wanted = powerOfTwoUpTo(bytesMax / SEGMENTS_WANTED);
    this.segmentBytes = Math.min(Math.max(wanted, SEGMENT_BYTES_MIN), SEGMENT_BYTES_MAX);
    this.segmentsMax = Math.max(4, Math.floor(bytesMax / this.segmentBytes));
    this.unitBits = Math.log2(this.segmentBytes / UNIT_BYTES);
    this.unitMask = 2 ** this.unitBits - 1;
    this.chains = new Int32Array(powerOfTwoUpTo(Math.max(16, bytesMax / BYTES_PER_CHAIN)));
    this.seed = seed | 0;
  }

  table(): TableVersions {
    return new TableVersions(this, this.join());
  }

  stats(): VersionCacheStats {
    const { hits, misses, evictions, entries } = this;
    const bytes = (this.newcomers.length + this.proven.length) * this.segmentBytes;
    return { hits, misses, evictions, entries, bytes };
  }

  get(owner: number, key: Uint8Array): Version | typeof ABSENT | undefined {
    const address = this.find(this.hashOf(owner, key), owner, key);
    if (address === 0) {
      this.misses++;
      return undefined;
    }
    this.hits++;
    const segment = this.segmentOf(address);
    const unit = this.unitOf(address);
    const marks = segment.marks(unit);
    if ((marks & USES) !== USES) segment.setMarks(unit, marks + 1);
    return (marks & ABSENT_KEY) === 0 ? segment.version(unit, key) : ABSENT;
  }

  set(owner: number, key: Uint8Array, row: Version | undefined): void {
    const hash = this.hashOf(owner, key);
    const before = this.unlink(hash, owner, key);
    const bytes = entryBytes(key.length, row === undefined ? 0 : row.value.length);
    if (bytes > this.segmentBytes * ENTRY_SEGMENT_SHARE) return;
    const marks = before & (USES | PROVEN);
    const segment = this.roomIn((marks & PROVEN) === 0 ? this.newcomers : this.proven, bytes);
    this.link(segment, segment.add({ hash, owner, marks, key, row } satisfies NewEntry, bytes));
  }

  drop(owner: number, key: Uint8Array): void {
    this.unlink(this.hashOf(owner, key), owner, key);
  }

  /** What an owner left behind is never found again, and goes as room is made. */
  renew(owner: number): number {
    this.leave(owner);
    return this.join();
  }

  leave(owner: number): void {
    this.owners.delete(owner);
  }

  private join(): number {
    this.owners.add(++this.lastOwner);
    return this.lastOwner;
  }

  /** Address of an entry; 0 if there is none. */
  private find(hash: number, owner: number, key: Uint8Array): number {
    let address = this.chains[hash & (this.chains.length - 1)] ?? 0;
    while (address !== 0) {
      const segment = this.segmentOf(address);
      const unit = this.unitOf(address);
      if (segment.isOf(unit, hash, owner, key)) return address;
      address = segment.next(unit);
    }
    return 0;
  }

  /** Puts an entry in front of its chain. */
  private link(segment: Segment, unit: number): void {
    const chain = segment.hash(unit) & (this.chains.length - 1);
    segment.setNext(unit, this.chains[chain] ?? 0);
    this.chains[chain] = this.addressOf(segment, unit);
    this.entries++;
    let address = this.chains[chain] ?? 0;
    for (let count = 1; address !== 0; count++) {
      const at = this.segmentOf(address);
      const next = at.next(this.unitOf(address));
      if (count === CHAIN_ENTRIES_MAX && next !== 0) {
        this.evictions++;
        this.relink(next, this.nextOf(next));
        this.kill(next);
        return;
      }
      address = next;
    }
  }

  /** Takes the entry of a key out; returns its marks, 0 if there was none. */
  private unlink(hash: number, owner: number, key: Uint8Array): number {
    const address = this.find(hash, owner, key);
    if (address === 0) return 0;
    this.relink(address, this.nextOf(address));
    return this.kill(address);
  }

  private kill(address: number): number {
    const segment = this.segmentOf(address);
    const unit = this.unitOf(address);
    const marks = segment.marks(unit);
    segment.setMarks(unit, marks | DEAD);
    this.entries--;
    return marks;
  }

  /** Whatever pointed to an entry points to another address. */
  private relink(from: number, to: number): void {
    const chain = this.segmentOf(from).hash(this.unitOf(from)) & (this.chains.length - 1);
    let address = this.chains[chain] ?? 0;
    if (address === from) {
      this.chains[chain] = to;
      return;
    }
    while (address !== 0) {
      const next = this.nextOf(address);
      if (next === from) this.segmentOf(address).setNext(this.unitOf(address), to);
      address = next === from ? 0 : next;
    }
  }

  /** A segment at the end of a queue with so much room; others go for it if they have to. */
  private roomIn(queue: Segment[], bytes: number): Segment {
    let last = queue[queue.length - 1];
    if (last?.hasRoomFor(bytes)) return last;
    while (this.newcomers.length + this.proven.length >= this.segmentsMax) this.giveUpOne();
    // What was moved may have begun a segment that has room.
    last = queue[queue.length - 1];
    return last?.hasRoomFor(bytes) ? last : this.append(queue);
  }

  private append(queue: Segment[]): Segment {
    const place = this.freePlaces.pop() ?? this.places.length;
    const segment = new Segment(place, this.segmentBytes);
    this.places[place] = segment;
    queue.push(segment);
    return segment;
  }

  private giveUpOne(): void {
    const isCrowded = this.newcomers.length > this.segmentsMax * NEWCOMERS_SHARE;
    const queue = isCrowded || this.proven.length === 0 ? this.newcomers : this.proven;
    const segment = queue.shift();
    if (segment === undefined) return;
    let movedBytes = 0;
    for (let unit = 0; unit * UNIT_BYTES < segment.usedBytes;) {
      const bytes = segment.entryBytesAt(unit);
      const marks = segment.marks(unit);
      if ((marks & DEAD) === 0) {
        const mayMove = (marks & USES) !== 0 && this.owners.has(segment.owner(unit));
        if (mayMove && movedBytes + bytes <= this.segmentBytes * MOVED_SEGMENT_SHARE) {
          movedBytes += bytes;
          this.move(segment, unit, bytes);
        } else {
          this.evictions++;
          const address = this.addressOf(segment, unit);
          this.relink(address, segment.next(unit));
          this.kill(address);
        }
      }
      unit += bytes / UNIT_BYTES;
    }
    this.places[segment.place] = undefined;
    this.freePlaces.push(segment.place);
  }

  /** An entry that was asked for joins the proven ones, and has to be asked for again to stay. */
  private move(from: Segment, unit: number, bytes: number): void {
    const last = this.proven[this.proven.length - 1];
    const target = last?.hasRoomFor(bytes) ? last : this.append(this.proven);
    const moved = target.adopt(from, unit, bytes);
    const marks = from.marks(unit);
    const wasProven = (marks & PROVEN) !== 0;
    const uses = wasProven ? (marks & USES) - 1 : 0;
    target.setMarks(moved, (marks & ~USES) | PROVEN | uses);
    this.relink(this.addressOf(from, unit), this.addressOf(target, moved));
  }

  private nextOf(address: number): number {
    return this.segmentOf(address).next(this.unitOf(address));
  }

  private segmentOf(address: number): Segment {
    const segment = this.places[(address - 1) >>> this.unitBits];
    if (segment === undefined) throw new Error('an entry of a cache lies in no segment');
    return segment;
  }

  private unitOf(address: number): number {
    return (address - 1) & this.unitMask;
  }

  private addressOf(segment: Segment, unit: number): number {
    return ((segment.place << this.unitBits) | unit) + 1;
  }

  private hashOf(owner: number, key: Uint8Array): number {
    let hash = this.seed ^ Math.imul(owner, 0x9e3779b1);
    for (let at = 0; at < key.length; at++) {
      hash = Math.imul(hash ^ (key[at] ?? 0), 0x01000193);
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return hash ^ (hash >>> 16);
  }
}

function powerOfTwoUpTo(bound: number): number {
  return bound < 1 ? 1 : 2 ** Math.floor(Math.log2(bound));
}
