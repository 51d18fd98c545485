/**
 * The engine port in memory: for tests, simulations and tables nobody wants to keep.
 *
 * In: the same calls as any engine. Out: the same answers, from an ordered persistent map whose
 * root is replaced by each batch; a range view holds the root it began with. It never touches a disk
 * or a clock, and `sync` has nothing to do.
 */
import {
  type Engine,
  type EngineBatch,
  type EngineIterator,
  type EngineIteratorOptions,
  type EnginePage,
  type EngineProperties,
  type EngineRange,
  PAGE_BYTES_MAX,
} from '../engine.js';
import { EngineError } from '../engine-error.js';
import {
  type Tree,
  treeDelete,
  treeGet,
  type TreeNode,
  treePut,
  treeRange,
} from './persistent-tree.js';

export function openMemoryEngine(): Engine {
  return new MemoryEngine();
}

/** `openMemoryEngine` makes one; a simulated engine is made of it. */
export class MemoryEngine implements Engine {
  private open = true;

  constructor(private root: Tree = undefined) {}

  get isOpen(): boolean {
    return this.open;
  }

  get(key: Uint8Array): Buffer | undefined {
    const value = treeGet(this.requireRoot(), key);
    return value === undefined ? undefined : Buffer.from(value);
  }

  getMany(keys: readonly Uint8Array[]): (Buffer | undefined)[] {
    return keys.map((key) => this.get(key));
  }

  batch(): EngineBatch {
    this.requireRoot();
    return new MemoryBatch(this);
  }

  iterator(options: EngineIteratorOptions): EngineIterator {
    return new MemoryIterator(this, this.requireRoot(), options);
  }

  deleteRange(range: EngineRange): void {
    let root = this.requireRoot();
    for (const row of treeRange(root, range.gte, range.lt, false)) root = treeDelete(root, row.key);
    this.root = root;
  }

  async sync(): Promise<void> {
    this.requireRoot();
  }

  properties(): EngineProperties {
    let rows = 0;
    let dataBytes = 0;
    const pending: TreeNode[] = [];
    const root = this.requireRoot();
    if (root !== undefined) pending.push(root);
    for (let row = pending.pop(); row !== undefined; row = pending.pop()) {
      rows += 1;
      dataBytes += row.key.length + row.value.length;
      if (row.left !== undefined) pending.push(row.left);
      if (row.right !== undefined) pending.push(row.right);
    }
    return { rows, dataBytes };
  }

  isBehind(): boolean {
    this.requireRoot();
    return false;
  }

  async close(): Promise<void> {
    this.open = false;
    this.root = undefined;
  }

  replay(changes: readonly Change[]): void {
    let root = this.requireRoot();
    for (const { key, value } of changes) {
      root = value === undefined ? treeDelete(root, key) : treePut(root, key, value);
    }
    this.root = root;
  }

  requireRoot(): Tree {
    if (!this.open) throw new EngineError('ENGINE_CLOSED', 'the store is closed');
    return this.root;
  }
}

interface Change {
  key: Buffer;
  /** Absent: delete. */
  value: Buffer | undefined;
}

class MemoryBatch implements EngineBatch {
  private changes: Change[] | undefined = [];

  constructor(private readonly engine: MemoryEngine) {}

  get length(): number {
    return this.changes?.length ?? 0;
  }

  put(key: Uint8Array, value: Uint8Array): this {
    this.requireChanges().push({ key: Buffer.from(key), value: Buffer.from(value) });
    return this;
  }

  del(key: Uint8Array): this {
    this.requireChanges().push({ key: Buffer.from(key), value: undefined });
    return this;
  }

  write(): void {
    try {
      this.engine.replay(this.requireChanges());
    } finally {
      this.close();
    }
  }

  close(): void {
    this.changes = undefined;
  }

  private requireChanges(): Change[] {
    if (this.changes === undefined) throw new EngineError('ENGINE_CLOSED', 'the batch has ended');
    return this.changes;
  }
}

class MemoryIterator implements EngineIterator {
  private rows: Generator<TreeNode, void, undefined> | undefined;
  private readonly pageBytesMax: number;
  private readonly content: 'entries' | 'keys' | 'values';

  constructor(
    private readonly engine: MemoryEngine,
    root: Tree,
    options: EngineIteratorOptions,
  ) {
    const gte = Buffer.from(options.gte);
    const lt = Buffer.from(options.lt);
    this.rows = treeRange(root, gte, lt, options.reverse ?? false);
    this.pageBytesMax = options.pageBytesMax ?? PAGE_BYTES_MAX;
    this.content = options.content ?? 'entries';
  }

  read(rowsMax: number): EnginePage {
    this.engine.requireRoot();
    if (this.rows === undefined) throw new EngineError('ENGINE_CLOSED', 'the range view is closed');
    const items: Buffer[] = [];
    let bytes = 0;
    for (let count = 0; count < Math.max(1, rowsMax) && bytes <= this.pageBytesMax; count += 1) {
      const next = this.rows.next();
      if (next.done === true) return { items, done: true };
      const { key, value } = next.value;
      if (this.content !== 'values') bytes += items[items.push(Buffer.from(key)) - 1]?.length ?? 0;
      if (this.content !== 'keys') bytes += items[items.push(Buffer.from(value)) - 1]?.length ?? 0;
    }
    return { items, done: false };
  }

  close(): void {
    this.rows = undefined;
  }
}
