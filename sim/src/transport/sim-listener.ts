/**
 * The side of a simulated node that others connect to: it checks every hello as the gRPC server does,
 * hands frames to the node, and answers the calls between nodes.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import {
  peerPath,
  refusalError,
  whyRefused,
  type Hello,
  type PeerDirectory,
  type PeerHandlers,
  type PeerIdentity,
  type PeerListener,
} from '@flotilla/kv-node/simulation';
import { peerV1 } from '@flotilla/proto';
import { type PeerFrame } from '@flotilla/raft';
import { type Connection, type TransportParts } from './sim-connection.js';
import { noContext } from './sim-metadata.js';

export class SimListener implements PeerListener {
  framesIn = 0;
  messagesIn = 0;
  bytesIn = 0;
  readonly forged = 0;
  endedAtMs = Infinity;
  private readonly inbound = new Map<number, Set<Connection>>();
  private address = '';
  private closed = false;

  constructor(
    private readonly parts: TransportParts,
    readonly own: PeerIdentity,
    readonly directory: PeerDirectory,
    private readonly handlers: PeerHandlers,
  ) {}

  async listen(hostPort: string): Promise<string> {
    this.address = hostPort;
    this.parts.network.listen(hostPort, this);
    return hostPort;
  }

  isOpenFrom(node: number): boolean {
    return (this.inbound.get(node)?.size ?? 0) > 0;
  }

  async close(): Promise<void> {
    this.closed = true;
    this.parts.network.unlisten(this.address, this);
    this.endAll(false);
  }

  processEnded(silently: boolean): void {
    this.closed = true;
    this.endedAtMs = this.parts.world.nowMs;
    this.parts.network.unlisten(this.address, this);
    this.endAll(silently);
  }

  enter(task: () => void): void {
    this.parts.process.enter(() => {
      if (!this.closed) task();
    });
  }

  /** Refuses a hello, or takes the connection that `connect` makes. */
  accept(hello: Hello | undefined, connect: () => Connection): Error | undefined {
    const refusal = whyRefused(hello, this.own, this.directory);
    if (refusal || !hello) {
      if (refusal) this.handlers.refused(refusal, this.address);
      return refusalError(refusal ?? { kind: 'malformed', reason: 'no hello' });
    }
    const connections = this.inbound.get(hello.nodeId) ?? new Set();
    this.inbound.set(hello.nodeId, connections);
    connections.add(connect());
    if (connections.size === 1) this.handlers.inbound(hello.nodeId, true);
    return undefined;
  }

  frame(connection: Connection, frame: PeerFrame): void {
    this.enter(() => {
      if (!this.holds(connection)) return;
      const from = connection.hello.nodeId;
      if (this.directory.find(from)?.removed !== false) {
        const refusal = whyRefused(connection.hello, this.own, this.directory);
        if (refusal) return this.refuse(connection, refusalError(refusal));
      }
      this.framesIn++;
      this.messagesIn += frame.messages.length;
      this.handlers.frame(from, frame);
    });
  }

  holds(connection: Connection): boolean {
    return this.inbound.get(connection.hello.nodeId)?.has(connection) ?? false;
  }

  lost(connection: Connection): void {
    this.parts.process.enter(() => {
      const { nodeId } = connection.hello;
      const connections = this.inbound.get(nodeId);
      if (!connections?.delete(connection)) return;
      if (connections.size === 0) this.handlers.inbound(nodeId, false);
    });
  }

  async call(path: string, bytes: Uint8Array, hello: Hello | undefined): Promise<Uint8Array> {
    const refusal = whyRefused(hello, this.own, this.directory);
    if (refusal || !hello) throw refusalError(refusal ?? { kind: 'malformed', reason: 'no hello' });
    const request = Buffer.from(bytes);
    if (path === peerPath('ReadSnapshot')) {
      const wanted = peerV1.SnapshotRequest.decode(request);
      const chunk = this.handlers.readSnapshot(hello.nodeId, wanted);
      return peerV1.SnapshotChunk.encode(chunk).finish();
    }
    if (path === peerPath('AwaitCatalog')) {
      const { index } = peerV1.AwaitCatalogRequest.decode(request);
      await this.handlers.awaitCatalog(Number(index), noContext(path));
      return peerV1.AwaitCatalogResponse.encode({}).finish();
    }
    throw new GrpcStatusError(status.UNIMPLEMENTED, `${path} is not simulated`);
  }

  private refuse(connection: Connection, error: Error): void {
    const { way } = connection;
    this.parts.network.carry(way.node, way.from, () => way.refused(connection, error));
    this.lost(connection);
  }

  private endAll(silently: boolean): void {
    for (const connections of this.inbound.values()) {
      for (const connection of connections) connection.end('listener', silently);
    }
    if (!silently) this.inbound.clear();
  }
}
