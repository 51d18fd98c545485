/**
 * An engine in memory that loses what was not synced, as RocksDB's log does in a power cut: of the
 * batches written since the last sync, some first part survives, each batch as a whole.
 *
 * In: the calls of any engine. Out: after `crash`, a new engine as it would be found again. How long
 * a sync takes is the simulation's to say (`syncGate`); nothing here draws or waits by itself.
 */
import { type EngineBatch, type EngineRange } from '../engine/engine.js';
import { MemoryEngine } from '../engine/memory/memory-engine.js';
import { type Tree } from '../engine/memory/persistent-tree.js';

/** States that are remembered since the last sync; the older half counts as flushed beyond. */
const STATES_MAX = 2_048;

export class SimulatedEngine extends MemoryEngine {
  /** What a crash may leave: the state that is on disk, and those written since. */
  private states: Tree[];
  private forgotten = 0;
  private readonly syncs = new Set<Promise<void>>();
  /** Awaited in every sync before it takes effect. */
  syncGate: () => Promise<void> = () => Promise.resolve();
  /**
   * A planted bug: where it is true for a key, changes of such keys become a write of their own after
   * the others of their batch.
   */
  tears: ((key: Uint8Array) => boolean) | undefined;

  constructor(root?: Tree) {
    super(root);
    this.states = [root];
  }

  /** The power goes: `pick` says which state is found again. This engine answers no more. */
  crash(pick: (below: number) => number): SimulatedEngine {
    const left = new SimulatedEngine(this.states[pick(this.states.length)]);
    void super.close();
    return left;
  }

  override batch(): EngineBatch {
    return this.tears ? new TornBatch(super.batch(), super.batch(), this.tears) : super.batch();
  }

  override deleteRange(range: EngineRange): void {
    super.deleteRange(range);
    this.remember();
  }

  override replay(changes: Parameters<MemoryEngine['replay']>[0]): void {
    super.replay(changes);
    this.remember();
  }

  override async sync(): Promise<void> {
    this.requireRoot();
    const upTo = this.forgotten + this.states.length - 1;
    const running = this.syncGate().then(() => this.forgetBefore(upTo));
    this.syncs.add(running);
    await running.finally(() => this.syncs.delete(running));
  }

  override async close(): Promise<void> {
    await Promise.all(this.syncs);
    await super.close();
  }

  private remember(): void {
    this.states.push(this.requireRoot());
    if (this.states.length > STATES_MAX) this.forgetBefore(this.forgotten + STATES_MAX / 2);
  }

  private forgetBefore(serial: number): void {
    if (serial <= this.forgotten) return;
    this.states = this.states.slice(serial - this.forgotten);
    this.forgotten = serial;
  }
}

class TornBatch implements EngineBatch {
  constructor(
    private readonly first: EngineBatch,
    private readonly last: EngineBatch,
    private readonly tears: (key: Uint8Array) => boolean,
  ) {}

  get length(): number {
    return this.first.length + this.last.length;
  }

  put(key: Uint8Array, value: Uint8Array): this {
    (this.tears(key) ? this.last : this.first).put(key, value);
    return this;
  }

  del(key: Uint8Array): this {
    (this.tears(key) ? this.last : this.first).del(key);
    return this;
  }

  write(): void {
    this.first.write();
    if (this.last.length > 0) this.last.write();
  }

  close(): void {
    this.first.close();
    this.last.close();
  }
}
