/**
 * Where backups lie: an object store, as backups use it.
 *
 * In: names and whole objects of bounded size. Out: the same. What is not there is `undefined`, what is
 * larger than it may be is damaged. All of it may be done twice, so a store that is unable for a moment is
 * asked again a few times.
 */
import {
  hasCode,
  type ObjectInfo,
  type ObjectPage,
  type ObjectStore,
  ObjectStoreError,
} from '@flotilla/object-store';
import { type BackupClock, SYSTEM_BACKUP_CLOCK } from '../clock.js';
import { damaged } from '../backup-error.js';
import { sha256Of } from '../format/chunk-codec.js';

export type BackupStore = Pick<ObjectStore, 'put' | 'get' | 'list' | 'deleteMany' | 'cleanUp'> &
  Partial<Pick<ObjectStore, 'putIfAbsent' | 'canPutIfAbsent'>>;

const DELETE_AT_ONCE = 500;
const ATTEMPTS_MAX = 5;
const PAUSE_MS = 50;

export class BackupObjects {
  constructor(
    private readonly store: BackupStore,
    private readonly clock: Pick<BackupClock, 'sleep'> = SYSTEM_BACKUP_CLOCK,
  ) {}

  /**
   * Bytes that are checked on their way by the store. Without a hash by their length alone: where they were
   * hashed a moment ago, to hash the same memory again would tell nothing new, and costs more than packing.
   */
  async write(
    name: string,
    bytes: Buffer,
    sha256Hex: string | undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    const expected = { sizeBytes: bytes.length, ...(sha256Hex !== undefined && { sha256Hex }) };
    const options = { expected, ...(signal && { signal }) };
    await this.again(() => this.store.put(name, bytes, options), signal);
  }

  /**
   * Unless there is an object of this name already: then false. A store without conditional writes cannot
   * tell, and writes over it.
   */
  async writeFirst(
    name: string,
    bytes: Buffer,
    bytesMax: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const sha256Hex = sha256Of(bytes);
    const { store } = this;
    const options = signal ? { signal } : {};
    const isOffered = await this.again(async () => store.canPutIfAbsent?.(options), signal);
    if (isOffered !== true) {
      await this.write(name, bytes, sha256Hex, signal);
      return true;
    }
    const expected = { sizeBytes: bytes.length, sha256Hex };
    try {
      await this.again(
        async () => store.putIfAbsent?.(name, bytes, { ...options, expected }),
        signal,
      );
      return true;
    } catch (error) {
      if (!hasCode(error, 'OBJECT_EXISTS')) throw error;
      // What is there may be this very write, of a try whose answer was lost.
      return (await this.read(name, bytesMax, signal))?.equals(bytes) === true;
    }
  }

  async read(name: string, bytesMax: number, signal?: AbortSignal): Promise<Buffer | undefined> {
    try {
      return await this.again(() => this.readOnce(name, bytesMax, signal), signal);
    } catch (error) {
      if (hasCode(error, 'OBJECT_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /** Throws if it is not there. */
  async need(name: string, bytesMax: number, signal?: AbortSignal): Promise<Buffer> {
    const bytes = await this.read(name, bytesMax, signal);
    if (bytes === undefined) throw damaged(name, 'it is missing');
    return bytes;
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectInfo, void, undefined> {
    let after: string | undefined;
    do {
      const options = { ...(after !== undefined && { after }), ...(signal && { signal }) };
      const { objects, next }: ObjectPage = await this.again(
        () => this.store.list(prefix, options),
        signal,
      );
      yield* objects;
      after = next;
    } while (after !== undefined);
  }

  /** The first name in the order of names behind a prefix; the rest is passed over. */
  async firstAfter(
    prefix: string,
    after: string | undefined,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const options = { limit: 1, ...(after !== undefined && { after }), ...(signal && { signal }) };
    const { objects } = await this.again(() => this.store.list(prefix, options), signal);
    return objects[0]?.key;
  }

  async delete(names: readonly string[], signal?: AbortSignal): Promise<void> {
    for (let at = 0; at < names.length; at += DELETE_AT_ONCE) {
      const some = names.slice(at, at + DELETE_AT_ONCE);
      await this.again(async () => {
        const [failed] = await this.store.deleteMany(some, signal ? { signal } : {});
        if (failed) throw failed.error;
      }, signal);
    }
  }

  /** Drops what a writer that was killed has left of an object that nobody has seen yet. */
  async cleanUp(olderThanMs: number, signal?: AbortSignal): Promise<void> {
    const options = { olderThanMs, ...(signal && { signal }) };
    await this.again(() => this.store.cleanUp(options), signal);
  }

  private async readOnce(name: string, bytesMax: number, signal?: AbortSignal): Promise<Buffer> {
    const { info, body } = await this.store.get(name, signal ? { signal } : {});
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of body) {
      bytes += part.length;
      if (bytes > bytesMax) throw damaged(name, `it has more than ${bytesMax} bytes`);
      parts.push(part);
    }
    if (bytes !== info.sizeBytes) throw damaged(name, 'it is cut short');
    const [only] = parts;
    if (only && parts.length === 1) return Buffer.from(only.buffer, only.byteOffset, only.length);
    return Buffer.concat(parts, bytes);
  }

  private async again<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        const mayHelp = error instanceof ObjectStoreError && error.retryable;
        if (!mayHelp || attempt >= ATTEMPTS_MAX || signal?.aborted === true) throw error;
        await this.clock.sleep(PAUSE_MS * 2 ** attempt, signal);
      }
    }
  }
}
