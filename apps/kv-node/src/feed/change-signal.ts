/**
 * Tells those who wait that something has changed, and never too early or too late.
 *
 *   ticket = signal.ticket --> look --> nothing new --> await signal.since(ticket)
 *
 * In: `raise`, in the tick of the change. Out: whoever holds a ticket from before it goes on. A change
 * between the look and the wait is not lost, because the ticket is older. Raising runs nobody's code.
 */
import { type NodeClock } from '../node/node-clock.js';

export class ChangeSignal {
  private raised = 0;
  private readonly waiting = new Set<() => void>();

  /** To be taken before the look that decides whether to wait. */
  get ticket(): number {
    return this.raised;
  }

  /** How many wait. */
  get waiters(): number {
    return this.waiting.size;
  }

  raise(): void {
    this.raised++;
    if (this.waiting.size === 0) return;
    const told = [...this.waiting];
    this.waiting.clear();
    for (const tell of told) tell();
  }

  /**
   * Settles once there was a change after the ticket was taken; also when `signal` is aborted, and
   * after `timeoutMs` if that is given. Never rejects.
   */
  since(
    ticket: number,
    signal: AbortSignal,
    timeout?: { readonly clock: Pick<NodeClock, 'after'>; readonly ms: number },
  ): Promise<void> {
    if (this.raised !== ticket || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.waiting.delete(done);
        signal.removeEventListener('abort', done);
        cancel?.();
        resolve();
      };
      const cancel = timeout?.clock.after(timeout.ms, done);
      this.waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
