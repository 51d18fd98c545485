/**
 * What a gateway says on its stream to the leader cluster, in the order in which it was said.
 *
 * In: messages. Out: their bytes, as fast as they are taken. Credit that waits is one message,
 * whatever it came from, so no more waits than there are tables.
 */
import { linkV1 } from '@flotilla/proto';

type Kind = NonNullable<linkV1.AttachRequest['kind']>;

export class LinkRequests implements AsyncIterable<Uint8Array> {
  private readonly waiting: Kind[] = [];
  private credit = 0;
  private wake: (() => void) | undefined;
  private isClosed = false;

  send(kind: Kind): void {
    this.waiting.push(kind);
    this.wake?.();
  }

  giveCredit(bytes: number): void {
    this.credit += bytes;
    this.wake?.();
  }

  /** Nothing more is said. Idempotent. */
  close(): void {
    this.isClosed = true;
    this.wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    while (!this.isClosed) {
      const kind = this.next();
      if (kind) yield linkV1.AttachRequest.encode({ kind }).finish();
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  private next(): Kind | undefined {
    const first = this.waiting.shift();
    if (first || this.credit === 0) return first;
    const bytes = BigInt(this.credit);
    this.credit = 0;
    return { $case: 'credit', value: { bytes } };
  }
}
