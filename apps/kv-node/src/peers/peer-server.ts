/**
 * The side that other nodes connect to: port 5012, gRPC, one service.
 *
 * In: calls whose hello was checked. Out: frames for the host, and answers of those who give
 * snapshots, take over calls or know the catalog. Messages that do not come from the node that sent
 * them, or are not for this one, are dropped and counted.
 */
import {
  createGrpcServer,
  type CallContext,
  type GrpcLogger,
  type GrpcServer,
  type GrpcTransport,
  type MessageSink,
  type ServerTlsOptions,
} from '@flotilla/grpc';
import { peerV1 } from '@flotilla/proto';
import { decodeFrame, type PeerFrame } from '@flotilla/raft';
import {
  helloMetadata,
  readHello,
  refusalError,
  whyRefused,
  type PeerDirectory,
  type PeerIdentity,
  type Refusal,
} from './hello.js';

export const PEER_SERVICE = 'flotilla.peer.v1.Peer';
export const peerPath = (method: string): string => `/${PEER_SERVICE}/${method}`;

/** A frame, or a forwarded call with the largest transaction in it. */
export const PEER_RECEIVE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * A connection on which pings are not answered is given up, whichever direction is dead: both ends
 * ask. A second and a half is far more than a round trip between any two places. The end that
 * connected knows first, after 2 s at most, so that its calls fail as those of a node that is away.
 */
export const PEER_KEEPALIVE = { timeMs: 500, timeoutMs: 1_500 };
const SERVER_KEEPALIVE = { timeMs: 500, timeoutMs: 2_000 };
/** A node that asks more often than any of ours is sent away. */
const PEER_PING_MS_MIN = PEER_KEEPALIVE.timeMs / 2;

/** Who answers what other nodes ask. */
export interface PeerHandlers {
  frame(from: number, frame: PeerFrame): void;
  /** Frames of a node begin to come, or come no more. */
  inbound(from: number, isOpen: boolean): void;
  readSnapshot(from: number, request: peerV1.SnapshotRequest): peerV1.SnapshotChunk;
  callStream(request: peerV1.ForwardedCall, call: CallContext, sink: MessageSink): Promise<void>;
  awaitCatalog(index: number, call: CallContext): Promise<void>;
  refused(refusal: Refusal, peer: string): void;
}

export class PeerServer {
  private readonly server: GrpcServer;
  private readonly inbound = new Map<number, number>();
  framesIn = 0;
  messagesIn = 0;
  bytesIn = 0;
  forged = 0;

  constructor(
    transport: GrpcTransport,
    private readonly own: PeerIdentity,
    private readonly directory: PeerDirectory,
    private readonly handlers: PeerHandlers,
    logger: GrpcLogger,
  ) {
    this.server = createGrpcServer(transport, {
      logger,
      receiveBytesMax: PEER_RECEIVE_BYTES_MAX,
      keepalive: SERVER_KEEPALIVE,
      keepaliveMinTimeMs: PEER_PING_MS_MIN,
    });
    this.register();
  }

  /** Returns the address it listens on, `http://host:port`. */
  async listen(hostPort: string, tls: ServerTlsOptions | undefined): Promise<string> {
    const url = `${tls ? 'https' : 'http'}://${hostPort}`;
    return (await this.server.listen(url, tls ? { tls } : {})).url;
  }

  isOpenFrom(node: number): boolean {
    return this.inbound.has(node);
  }

  async close(graceMs: number): Promise<void> {
    await this.server.close({ graceMs });
  }

  private register(): void {
    const { server, handlers } = this;
    server.authorize(PEER_SERVICE, (call) => this.greet(call));
    server.register(peerPath('Connect'), 'bidi', (frames, call, sink) =>
      this.connect(frames, call, sink),
    );
    server.register(peerPath('ReadSnapshot'), 'unary', (bytes, call) => {
      const request = peerV1.SnapshotRequest.decode(bytes);
      const chunk = handlers.readSnapshot(nodeOf(call), request);
      return peerV1.SnapshotChunk.encode(chunk).finish();
    });
    server.register(peerPath('CallStream'), 'server-stream', (bytes, call, sink) =>
      handlers.callStream(peerV1.ForwardedCall.decode(bytes), call, sink),
    );
    server.register(peerPath('AwaitCatalog'), 'unary', async (bytes, call) => {
      const { index } = peerV1.AwaitCatalogRequest.decode(bytes);
      await handlers.awaitCatalog(Number(index), call);
      return peerV1.AwaitCatalogResponse.encode({}).finish();
    });
  }

  private check(call: CallContext): void {
    const hello = readHello(call.metadata);
    const refusal = whyRefused(hello, this.own, this.directory);
    if (refusal) {
      this.handlers.refused(refusal, call.peer);
      throw refusalError(refusal);
    }
  }

  /** Who answers: the caller checks that too. */
  private greet(call: CallContext): void {
    this.check(call);
    for (const [name, value] of Object.entries(helloMetadata(this.own, nodeOf(call)))) {
      call.setHeader(name, value as string);
    }
  }

  private async connect(
    frames: AsyncIterable<Buffer>,
    call: CallContext,
    sink: MessageSink,
  ): Promise<void> {
    const from = nodeOf(call);
    await sink.write(peerV1.Accepted.encode({}).finish());
    this.count(from, 1);
    try {
      for await (const bytes of frames) {
        // Removed while it was connected: it is told so, as it would be if it came anew.
        if (this.directory.find(from)?.removed !== false) this.check(call);
        this.receive(from, bytes);
      }
    } finally {
      this.count(from, -1);
    }
  }

  private receive(from: number, bytes: Buffer): void {
    const frame = decodeFrame(bytes);
    this.framesIn++;
    this.bytesIn += bytes.length;
    this.messagesIn += frame.messages.length;
    const isHonest = frame.messages.every(
      ({ message }) => message.from === from && message.to === this.own.nodeId,
    );
    if (isHonest) {
      this.handlers.frame(from, frame);
      return;
    }
    const messages = frame.messages.filter(
      ({ message }) => message.from === from && message.to === this.own.nodeId,
    );
    this.forged += frame.messages.length - messages.length;
    this.handlers.frame(from, { ...frame, messages });
  }

  /** A node that connects anew may be here twice for a moment. */
  private count(from: number, change: 1 | -1): void {
    const streams = (this.inbound.get(from) ?? 0) + change;
    if (streams === 0) this.inbound.delete(from);
    else this.inbound.set(from, streams);
    if (streams === 0 || (streams === 1 && change === 1)) {
      this.handlers.inbound(from, streams > 0);
    }
  }
}

function nodeOf(call: CallContext): number {
  const hello = readHello(call.metadata);
  if (!hello) throw new Error('a call got past the check of its hello');
  return hello.nodeId;
}
