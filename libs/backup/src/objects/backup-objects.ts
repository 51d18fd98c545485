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

export type BackupStore = Pick<ObjectStore, 'put' | 'get' | 'list' | 'deleteMany'>;

const DELETE_AT_ONCE = 500;
const ATTEMPTS_MAX = 5;
const PAUSE_MS = 50;

export class BackupObjects {
  constructor(
    private readonly store: BackupStore,
    private readonly clock: Pick<BackupClock, 'sleep'> = SYSTEM_BACKUP_CLOCK,
  ) {}

  /** Bytes that are checked on their way by the store, where it can. */
  async write(name: string, bytes: Buffer, sha256Hex: string, signal?: AbortSignal): Promise<void> {
    const expected = { sizeBytes: bytes.length, sha256Hex };
    const options = { expected, ...(signal && { signal }) };
    await this.again(() => this.store.put(name, bytes, options), signal);
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
    return Buffer.concat(parts);
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
