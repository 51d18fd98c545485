/**
 * The engine port: one ordered store of byte strings, shared by all tables of a node.
 *
 * In: point reads, range views, atomic batches, range deletes. Out: copies of bytes that the caller
 * owns. Everything but opening, `sync` and `close` is synchronous, because a cached read costs less
 * than a trip through a thread pool. Writes are atomic per batch and ordered, but not durable before
 * `sync`: whatever a crash leaves is a prefix of the batches written. An adapter must never
 * interpret keys or values and never keep a reference to a buffer it was given.
 */

/** What a range view yields: whole rows, or the half that is needed (one buffer per row less). */
export type RangeContent = 'entries' | 'keys' | 'values';

export interface EngineRange {
  /** First key, inclusive. */
  gte: Uint8Array;
  /** End of the range, exclusive. A range whose end is not above its start is empty. */
  lt: Uint8Array;
}

export interface EngineIteratorOptions extends EngineRange {
  /** From the last key to the first. */
  reverse?: boolean;
  /** Default `entries`. */
  content?: RangeContent;
  /** A page ends early once it holds more bytes than this. Default {@link PAGE_BYTES_MAX}. */
  pageBytesMax?: number;
}

/** Default bound of one page of a range view. */
export const PAGE_BYTES_MAX = 1024 * 1024;

export interface EnginePage {
  /** Keys or values in order; for `entries` a key and its value in turn. */
  items: Buffer[];
  /** Nothing is left. A page that just reached its bound may be last without knowing it. */
  done: boolean;
}

/** A consistent view of a range as it was when the iterator was made. */
export interface EngineIterator {
  /** Next page of at most `rowsMax` rows (at least one, if any is left). */
  read(rowsMax: number): EnginePage;
  /** Frees the view; more calls do nothing. An open view keeps old data on disk. */
  close(): void;
}

/** A set of changes that becomes visible at once, later ones winning over earlier ones. */
export interface EngineBatch {
  put(key: Uint8Array, value: Uint8Array): this;
  del(key: Uint8Array): this;
  readonly length: number;
  /** Applies the changes and ends the batch. */
  write(): void;
  /** Ends the batch without applying it; after `write` it does nothing. */
  close(): void;
}

/** Figures for metrics; what an engine cannot tell is absent. */
export interface EngineProperties {
  /** Estimated number of rows. */
  rows?: number;
  /** Bytes of sorted files, or of all rows where there are no files. */
  dataBytes?: number;
  /** Bytes in write buffers. */
  memtableBytes?: number;
  /** Bytes held by the block cache. */
  blockCacheBytes?: number;
  /** Bytes waiting for compaction. */
  compactionPendingBytes?: number;
}

export interface Engine {
  readonly isOpen: boolean;
  get(key: Uint8Array): Buffer | undefined;
  /** Values in the order of the keys. */
  getMany(keys: readonly Uint8Array[]): (Buffer | undefined)[];
  batch(): EngineBatch;
  iterator(options: EngineIteratorOptions): EngineIterator;
  /** Deletes a range in a commit of its own. */
  deleteRange(range: EngineRange): void;
  /** Resolves when everything written before the call survives a power failure. */
  sync(): Promise<void>;
  properties(): EngineProperties;
  /**
   * So much of what was written is still to be put in order that the engine may soon hold up writes, and with
   * them whoever reads on the same thread. Whoever writes in bulk waits until it is over.
   */
  isBehind(): boolean;
  /**
   * Waits for running syncs, closes open views and the store; idempotent. Any use afterwards throws
   * an `EngineError` with code `ENGINE_CLOSED`.
   */
  close(): Promise<void>;
}
