/**
 * `flotilla.replication.v1.Link`: gateways of follower clusters attach, and are told all they follow.
 *
 * In: calls. Out: a stream each, as many as the bound allows, from which all of them take places for what
 * lies in memory. A gateway that does not know which cluster it serves attaches nobody.
 */
import {
  type AnswerPacking,
  type CallContext,
  type GrpcServer,
  GrpcStatusError,
  type MessageSink,
  status,
} from '@flotilla/grpc';
import { checkFollower, type Hello, invalid, readHello } from './attach-request.js';
import {
  COMPRESS_BYTES_MIN,
  GATEWAY_PLACES_MAX,
  HELLO_TIMEOUT_MS,
  LINK_STREAMS_MAX,
  STREAM_PLACES_MAX,
} from './link-limits.js';
import { GatewayPlaces, StreamPlaces } from './link-places.js';
import { LinkStream, type LinkParts } from './link-stream.js';
import { type SnapshotParts, streamSnapshot } from './snapshot-stream.js';

export const LINK_ATTACH = '/flotilla.replication.v1.Link/Attach';
export const LINK_READ_SNAPSHOT = '/flotilla.replication.v1.Link/ReadSnapshot';

export interface LinkServiceParts extends LinkParts, SnapshotParts {
  readonly feed: LinkParts['feed'] & SnapshotParts['feed'];
  readonly directory: LinkParts['directory'] & SnapshotParts['directory'];
  readonly metrics: LinkParts['metrics'] & SnapshotParts['metrics'];
  /** How messages may be packed, the best one first. */
  readonly encodings: AnswerPacking['encodings'];
}

export class LinkService {
  private readonly places = new GatewayPlaces(GATEWAY_PLACES_MAX);
  private readonly streams = new Set<LinkStream>();
  /** Calls, those included that have not said hello. */
  private calls = 0;
  private isClosed = false;

  constructor(private readonly parts: LinkServiceParts) {}

  register(server: GrpcServer): void {
    const packing = { encodings: this.parts.encodings, bytesMin: COMPRESS_BYTES_MIN };
    server.register(
      LINK_ATTACH,
      'bidi',
      (requests, call, sink) => this.attach(requests, call, sink),
      packing,
    );
    server.register(
      LINK_READ_SNAPSHOT,
      'server-stream',
      (bytes, call, sink) => streamSnapshot(this.parts, bytes, call, sink),
      packing,
    );
  }

  get streamCount(): number {
    return this.streams.size;
  }

  get subscriptionCount(): number {
    let count = 0;
    for (const stream of this.streams) count += stream.subscriptionCount;
    return count;
  }

  /** Bytes of commands that lie in memory, of all streams. */
  get heldBytes(): number {
    let bytes = 0;
    for (const stream of this.streams) bytes += stream.heldBytes;
    return bytes;
  }

  /** Streams have no end of their own. Idempotent. */
  close(): void {
    this.isClosed = true;
    for (const stream of this.streams) stream.close(stopping());
  }

  private async attach(
    requests: AsyncIterable<Buffer>,
    call: CallContext,
    sink: MessageSink,
  ): Promise<void> {
    if (this.isClosed) throw stopping();
    if (this.calls >= LINK_STREAMS_MAX) {
      const text = `${LINK_STREAMS_MAX} gateways are attached already`;
      throw new GrpcStatusError(status.UNAVAILABLE, text);
    }
    this.calls++;
    try {
      const iterator = requests[Symbol.asyncIterator]();
      const { creditBytes } = await this.hello(iterator);
      const places = new StreamPlaces(this.places, STREAM_PLACES_MAX);
      const stream = new LinkStream(this.parts, places, call, sink, creditBytes);
      this.streams.add(stream);
      try {
        if (this.isClosed) stream.close(stopping());
        await stream.run(iterator);
      } finally {
        this.streams.delete(stream);
      }
    } finally {
      this.calls--;
    }
  }

  private async hello(requests: AsyncIterator<Buffer, unknown>): Promise<Hello> {
    const { clock, directory } = this.parts;
    const come = new AbortController();
    const late = clock.sleep(HELLO_TIMEOUT_MS, come.signal).then(() => {
      if (come.signal.aborted) return undefined;
      const text = `no hello came within ${HELLO_TIMEOUT_MS} ms`;
      throw new GrpcStatusError(status.DEADLINE_EXCEEDED, text);
    });
    try {
      const first = await Promise.race([requests.next(), late]);
      if (first === undefined || first.done === true)
        throw invalid('the first message must be hello');
      const hello = readHello(first.value);
      const { cluster } = directory;
      if (!directory.isKnown || cluster === undefined) {
        throw new GrpcStatusError(status.UNAVAILABLE, 'no node has told which tables there are');
      }
      checkFollower(hello, cluster);
      return hello;
    } finally {
      come.abort();
    }
  }
}

function stopping(): GrpcStatusError {
  return new GrpcStatusError(status.UNAVAILABLE, 'the gateway is stopping');
}
