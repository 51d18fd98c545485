/**
 * Whole lists and small whole objects.
 *
 * In: a store. Out: all objects of a prefix, page after page; or the bytes of one object, which has
 * to be smaller than the caller says.
 */
import { ObjectStoreError } from '../port/errors.js';
import {
  type CallOptions,
  type ObjectInfo,
  type ObjectStore,
  type UnfinishedUpload,
  type UploadsMark,
} from '../port/object-store.js';

export interface ReadObjectOptions extends CallOptions {
  readonly bytesMax: number;
}

export async function readObject(
  store: ObjectStore,
  key: string,
  { bytesMax, ...options }: ReadObjectOptions,
): Promise<{ info: ObjectInfo; bytes: Buffer }> {
  const reading = await store.get(key, options);
  const { info } = reading;
  if (info.sizeBytes > bytesMax) {
    await reading.discard();
    const message = `${JSON.stringify(key)} has ${info.sizeBytes} bytes, more than ${bytesMax}`;
    throw new ObjectStoreError('OBJECT_CORRUPT', message);
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of reading.body) pieces.push(piece);
  return { info, bytes: Buffer.concat(pieces) };
}

export async function* listAll(
  store: ObjectStore,
  prefix: string,
  options: CallOptions & { readonly after?: string } = {},
): AsyncGenerator<ObjectInfo> {
  let { after } = options;
  do {
    const page = await store.list(prefix, {
      ...options,
      ...(after === undefined ? {} : { after }),
    });
    yield* page.objects;
    after = page.next;
  } while (after !== undefined);
}

export async function* listAllUploads(
  store: ObjectStore,
  prefix: string,
  options: CallOptions = {},
): AsyncGenerator<UnfinishedUpload> {
  let after: UploadsMark | undefined;
  do {
    const page = await store.listUploads(prefix, {
      ...options,
      ...(after === undefined ? {} : { after }),
    });
    yield* page.uploads;
    after = page.next;
  } while (after !== undefined);
}
