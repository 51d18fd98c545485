/**
 * A batch for LMDB: copies of its changes until it is written.
 *
 * In: puts and deletes. Out: all of them in order, at once. A key that the store cannot hold is refused
 * when it is put, so that a batch never breaks in the middle; deleting one has nothing to do.
 */
import { type EngineBatch } from '../engine.js';
import { EngineError } from '../engine-error.js';
import { KEY_BYTES_MAX } from './binding.js';

export interface Change {
  key: Buffer;
  /** Absent: delete. */
  value: Buffer | undefined;
}

export class LmdbBatch implements EngineBatch {
  private changes: Change[] | undefined = [];

  constructor(private readonly apply: (changes: readonly Change[]) => void) {}

  get length(): number {
    return this.changes?.length ?? 0;
  }

  put(key: Uint8Array, value: Uint8Array): this {
    const changes = this.requireChanges();
    if (key.length > KEY_BYTES_MAX) {
      const message = `a key of ${key.length} bytes is longer than ${KEY_BYTES_MAX}`;
      throw new EngineError('ENGINE_FAILED', message);
    }
    changes.push({ key: Buffer.from(key), value: Buffer.from(value) });
    return this;
  }

  del(key: Uint8Array): this {
    const changes = this.requireChanges();
    if (key.length <= KEY_BYTES_MAX) changes.push({ key: Buffer.from(key), value: undefined });
    return this;
  }

  write(): void {
    try {
      this.apply(this.requireChanges());
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
