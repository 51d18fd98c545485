/**
 * What the feed sends to gateways, counted: streams that are open, and bytes of messages.
 *
 * In: calls of clients, by kind. Out: figures for the metrics. What another node passed on is counted
 * where the client is connected, once.
 */
import { type MessageSink } from '@flotilla/grpc';

export const FEED_KINDS = ['tables', 'log', 'table'] as const;
export type FeedKind = (typeof FEED_KINDS)[number];

export interface FeedFigures {
  streams: number;
  messages: number;
  bytes: number;
}

export class FeedTraffic {
  private readonly figures: Readonly<Record<FeedKind, FeedFigures>> = {
    tables: { streams: 0, messages: 0, bytes: 0 },
    log: { streams: 0, messages: 0, bytes: 0 },
    table: { streams: 0, messages: 0, bytes: 0 },
  };

  of(kind: FeedKind): Readonly<FeedFigures> {
    return this.figures[kind];
  }

  /** Serves one stream; what it writes is counted. */
  async during(
    kind: FeedKind,
    sink: MessageSink,
    serve: (counted: MessageSink) => Promise<void>,
  ): Promise<void> {
    const figures = this.figures[kind];
    figures.streams++;
    try {
      await serve({
        write: (message) => {
          figures.messages++;
          figures.bytes += message.length;
          return sink.write(message);
        },
      });
    } finally {
      figures.streams--;
    }
  }
}
