/**
 * Bodies on their way out.
 *
 * In: a source of pieces that holds something open, and how many bytes it owes. Out: the reading of
 * the port: exactly so many bytes or an error, the source closed exactly once however it ends. The
 * deadline runs while a piece is waited for, not while the caller does something else.
 */
import { type CallScope } from '../port/call-scope.js';
import { type ObjectInfo, type ObjectReading } from '../port/object-store.js';

export interface PieceSource {
  /** The next bytes; undefined at the end. */
  read(): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

export interface Owed {
  readonly sizeBytes: number;
  /** The error of a body that ends early, or does not end. */
  wrongSize(sizeBytes: number): Error;
  toError(error: unknown): unknown;
}

export function readingOf(
  info: ObjectInfo,
  source: PieceSource,
  owed: Owed,
  scope: CallScope,
): ObjectReading {
  const body = new BodyReader(source, owed, scope);
  return { info, body, discard: () => body.end() };
}

class BodyReader implements AsyncIterableIterator<Uint8Array> {
  private givenBytes = 0;
  private ended: Promise<void> | undefined;

  constructor(
    private readonly source: PieceSource,
    private readonly owed: Owed,
    private readonly scope: CallScope,
  ) {
    scope.pause();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.ended !== undefined) return { done: true, value: undefined };
    try {
      this.scope.renew();
      const piece = await this.scope.within(this.source.read());
      this.givenBytes += piece?.length ?? 0;
      this.checkSize(piece === undefined);
      if (piece !== undefined) {
        this.scope.pause();
        return { done: false, value: piece };
      }
    } catch (error) {
      // What reading came to is what the caller has to know; closing can only fail after it.
      await this.end().then(undefined, () => undefined);
      throw this.scope.reasonOr(this.owed.toError(error));
    }
    await this.end();
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.end();
    return { done: true, value: undefined };
  }

  end(): Promise<void> {
    this.scope.close();
    this.ended ??= this.source.close();
    return this.ended;
  }

  private checkSize(atEnd: boolean): void {
    const { sizeBytes } = this.owed;
    if (this.givenBytes > sizeBytes || (atEnd && this.givenBytes !== sizeBytes)) {
      throw this.owed.wrongSize(this.givenBytes);
    }
  }
}
