/**
 * The log of one table for its puller: subscribes once it is read and there is a stream, and lets
 * go of everything when it is left.
 */
import { type LeaderTable, type LogMessage, type LogStart, type LogStream } from '../ports.js';
import { type LinkSession } from './link-session.js';
import { type LinkSubscription } from './link-subscription.js';
import { OtherTableError } from './other-table-error.js';

export class LinkLog implements LogStream {
  readonly mayLeaveOut = true;
  private subscription: LinkSubscription | undefined;

  constructor(
    private readonly session: () => Promise<LinkSession>,
    private readonly of: LeaderTable,
    private readonly start: LogStart,
    private readonly signal: AbortSignal,
  ) {}

  applied(index: number): void {
    this.subscription?.applied(index);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LogMessage, void, undefined> {
    if (this.of.source.tableId === 0) {
      throw new OtherTableError(
        'it is not known of which table of the leader cluster this is a copy',
      );
    }
    const session = await this.session();
    if (this.signal.aborted) return;
    const subscription = session.subscribe(this.of, this.start);
    this.subscription = subscription;
    const close = () => subscription.close();
    this.signal.addEventListener('abort', close, { once: true });
    try {
      for (;;) {
        const message = await subscription.next();
        if (!message) return;
        yield message;
      }
    } finally {
      this.signal.removeEventListener('abort', close);
      subscription.close();
    }
  }
}
