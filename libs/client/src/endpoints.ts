/**
 * The nodes that the client may talk to, and the one it talks to now.
 *
 * In: addresses in the order of preference, and word of calls that failed. Out: the node for the next
 * call, which is the same one until it fails. Calls that fail together move on once, not once each:
 * otherwise a burst would chase itself around the list.
 *
 * Must never carry a call itself, nor wait for a node longer than the call that asks has time.
 */
import type { ClientTlsOptions } from '@flotilla/grpc';
import { ClientError } from './client-error.js';
import { Endpoint } from './endpoint.js';

export class Endpoints {
  private readonly all: readonly Endpoint[];
  private at = 0;

  constructor(addresses: readonly string[], tls: ClientTlsOptions | undefined) {
    if (addresses.length === 0) throw new Error('endpoints must name at least one');
    this.all = addresses.map((address) => new Endpoint(address, tls));
  }

  /**
   * A node to call. Throws a ClientError if none gives a sign of life; nothing was sent then.
   *
   * @param endMs when the call has to be over, on the clock of `performance.now()`
   */
  async pick(endMs: number): Promise<Endpoint> {
    let reason: ClientError | undefined;
    for (const endpoint of this.inOrder()) {
      // Where there is no choice, the call itself finds out, with all the time it has.
      const isThere = this.all.length === 1 || endpoint.answeredLately;
      reason = isThere ? undefined : await inTime(endpoint.signOfLife(), endMs);
      if (!reason) {
        this.at = this.all.indexOf(endpoint);
        return endpoint;
      }
    }
    throw reason ?? new Error('the client has no endpoint');
  }

  /** Later calls go to the next node, unless an earlier failure has seen to that. */
  leave(endpoint: Endpoint): void {
    if (this.all[this.at] === endpoint) this.at = (this.at + 1) % this.all.length;
  }

  /** Idempotent. */
  close(): void {
    for (const endpoint of this.all) endpoint.close();
  }

  /** From the present one on; those that gave no sign of life lately come last. */
  private inOrder(): readonly Endpoint[] {
    const turned = [...this.all.slice(this.at), ...this.all.slice(0, this.at)];
    return [
      ...turned.filter((each) => !each.isResting),
      ...turned.filter((each) => each.isResting),
    ];
  }
}

/** What the promise says; throws when the time of the call is up before. */
async function inTime<T>(promise: Promise<T>, endMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<never>((_resolve, reject) => {
    const text = 'the time was up before any node gave a sign of life';
    const error = new ClientError('DEADLINE_EXCEEDED', text, {}, true);
    timer = setTimeout(() => reject(error), Math.max(0, endMs - performance.now()));
  });
  try {
    return await Promise.race([promise, timeUp]);
  } finally {
    clearTimeout(timer);
  }
}
