/**
 * An engine whose batches are written a moment later, so that answers need not wait for it.
 *
 *   batch.write() --> pending --(deferred, or before anything else is asked of the engine)--> engine
 *
 * In: an engine, a way to do something soon, and whom to tell of a failure. Out: the same engine, as
 * far as anybody can see: whatever reads, opens a view, deletes, syncs or writes finds the pending
 * batch written. It relies on what holds for every batch of an engine: none is durable before `sync`,
 * and what a crash loses is replayed from the Raft log. At most one batch is pending.
 */
import {
  type Engine,
  type EngineBatch,
  type EngineIterator,
  type EngineIteratorOptions,
  type EngineProperties,
  type EngineRange,
} from './engine.js';
import { EngineError } from './engine-error.js';

export interface WriteBehindPorts {
  /** Calls `task` once what happens now is through: answers have left by then. */
  readonly defer: (task: () => void) => void;
  /**
   * A pending batch could not be written. What was said of it is in the Raft log; this process
   * cannot go on with the engine.
   */
  readonly onFailed: (error: unknown) => void;
}

export class WriteBehindEngine implements Engine {
  private pending: EngineBatch | undefined;
  private isDue = false;
  private failure: EngineError | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly ports: WriteBehindPorts,
  ) {}

  get isOpen(): boolean {
    return this.engine.isOpen;
  }

  get(key: Uint8Array): Buffer | undefined {
    this.settle();
    return this.engine.get(key);
  }

  getMany(keys: readonly Uint8Array[]): (Buffer | undefined)[] {
    this.settle();
    return this.engine.getMany(keys);
  }

  /** The batch is made at once, and written when `write` was called and its time has come. */
  batch(): EngineBatch {
    return new LaterBatch(this.engine.batch(), (batch) => this.later(batch));
  }

  iterator(options: EngineIteratorOptions): EngineIterator {
    this.settle();
    return this.engine.iterator(options);
  }

  deleteRange(range: EngineRange): void {
    this.settle();
    this.engine.deleteRange(range);
  }

  async sync(): Promise<void> {
    this.settle();
    await this.engine.sync();
  }

  properties(): EngineProperties {
    return this.engine.properties();
  }

  isBehind(): boolean {
    return this.engine.isBehind();
  }

  async close(): Promise<void> {
    try {
      if (this.engine.isOpen) this.settle();
    } finally {
      await this.engine.close();
    }
  }

  private later(batch: EngineBatch): void {
    this.settle();
    // Refused as the engine refuses it.
    if (!this.engine.isOpen) return batch.write();
    this.pending = batch;
    if (this.isDue) return;
    this.isDue = true;
    this.ports.defer(this.due);
  }

  private readonly due = (): void => {
    this.isDue = false;
    // One that was closed below has lost what a crash would have lost as well.
    if (!this.engine.isOpen) return;
    try {
      this.settle();
    } catch {
      // `settle` has told whoever ends the process, and tells everybody who asks.
    }
  };

  /** Writes what is pending. Throws EngineError, then and from then on, if that cannot be done. */
  private settle(): void {
    if (this.failure !== undefined) throw this.failure;
    const batch = this.pending;
    if (batch === undefined) return;
    this.pending = undefined;
    try {
      batch.write();
    } catch (cause) {
      this.failure = new EngineError('ENGINE_IO', 'a batch could not be written', { cause });
      this.ports.onFailed(this.failure);
      throw this.failure;
    }
  }
}

class LaterBatch implements EngineBatch {
  private isOver = false;

  constructor(
    private readonly batch: EngineBatch,
    private readonly later: (batch: EngineBatch) => void,
  ) {}

  get length(): number {
    return this.batch.length;
  }

  put(key: Uint8Array, value: Uint8Array): this {
    this.requireOpen().put(key, value);
    return this;
  }

  del(key: Uint8Array): this {
    this.requireOpen().del(key);
    return this;
  }

  write(): void {
    const batch = this.requireOpen();
    this.isOver = true;
    this.later(batch);
  }

  close(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.batch.close();
  }

  private requireOpen(): EngineBatch {
    if (this.isOver) throw new EngineError('ENGINE_CLOSED', 'the batch has ended');
    return this.batch;
  }
}
