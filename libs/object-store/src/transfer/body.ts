/**
 * Bodies on their way in: pieces of a caller, within the call's scope, held against what they should be.
 *
 * In: bytes, or a stream of them. Out: non-empty pieces. A stream that gives nothing is left when
 * the scope ends, without waiting for it. Nothing is kept here: one piece at a time.
 */
import { createHash } from 'node:crypto';
import { type CallScope } from '../port/call-scope.js';
import { ObjectStoreError } from '../port/errors.js';
import { type ObjectBody, type PutOptions } from '../port/object-store.js';

export async function* piecesOf(body: ObjectBody, scope: CallScope): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) {
    if (body.length > 0) yield body;
    return;
  }
  const source = body[Symbol.asyncIterator]();
  let atEnd = false;
  try {
    for (;;) {
      const next: IteratorResult<unknown, unknown> = await scope.within(source.next());
      if (next.done === true) {
        atEnd = true;
        return;
      }
      const { value } = next;
      if (!(value instanceof Uint8Array)) {
        throw new ObjectStoreError('STORE_INVALID', 'a body must be made of Uint8Arrays');
      }
      scope.renew();
      if (value.length > 0) yield value;
    }
  } finally {
    if (!atEnd) leave(source);
  }
}

/** The same pieces; after the last one an error unless they were what was expected. */
export async function* checkedPieces(
  pieces: AsyncIterable<Uint8Array>,
  expected: PutOptions['expected'] = {},
): AsyncGenerator<Uint8Array> {
  const hash = expected.sha256Hex === undefined ? undefined : createHash('sha256');
  let sizeBytes = 0;
  for await (const piece of pieces) {
    sizeBytes += piece.length;
    hash?.update(piece);
    yield piece;
  }
  if (expected.sizeBytes !== undefined && sizeBytes !== expected.sizeBytes) {
    const message = `the body has ${sizeBytes} bytes, not the ${expected.sizeBytes} expected`;
    throw new ObjectStoreError('OBJECT_CORRUPT', message);
  }
  if (hash !== undefined && hash.digest('hex') !== expected.sha256Hex) {
    throw new ObjectStoreError('OBJECT_CORRUPT', 'the body has not the SHA-256 expected');
  }
}

export function md5HexOf(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}

/** Tells a source that nobody reads on. What it says to that has nobody left to hear it. */
export function leave(source: AsyncIterator<unknown>): void {
  source.return?.().then(undefined, () => undefined);
}
