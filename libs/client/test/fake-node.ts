/**
 * Nodes for tests of failover: one that serves a little of the KV API as it is told to, and two that
 * are there for the network but not for gRPC.
 *
 * Each counts what reached it. Must never be shared between tests: the counts are theirs.
 */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createGrpcJsServer, type CallContext, type GrpcServer } from '@flotilla/grpc';
import { regattaV1 as v1 } from '@flotilla/proto';

const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined };

/** What a node does before it answers: nothing, throw, or wait. */
export type Conduct = (call: CallContext) => void | Promise<void>;

export class FakeNode {
  puts = 0;
  ranges = 0;
  streams = 0;
  /** What it does to the next calls, in their order; afterwards it answers. */
  readonly conducts: Conduct[] = [];
  private server: GrpcServer = createGrpcJsServer({ logger: quiet });

  private constructor(readonly name: string) {}

  static async start(name: string): Promise<[node: FakeNode, url: string]> {
    const node = new FakeNode(name);
    node.serve();
    return [node, (await node.server.listen('http://127.0.0.1:0')).url];
  }

  /** Cuts every connection at once. */
  async kill(): Promise<void> {
    await this.server.close({ graceMs: 0 });
  }

  private serve(): void {
    this.server.register('/regatta.v1.KV/Put', 'unary', async (_bytes, call) => {
      this.puts++;
      await this.conducts.shift()?.(call);
      const answer = v1.PutResponse.fromPartial({ header: { revision: BigInt(this.puts) } });
      return v1.PutResponse.encode(answer).finish();
    });
    this.server.register('/regatta.v1.KV/Range', 'unary', async (_bytes, call) => {
      this.ranges++;
      await this.conducts.shift()?.(call);
      return this.page();
    });
    this.server.register('/regatta.v1.KV/IterateRange', 'server-stream', async (_, call, sink) => {
      this.streams++;
      const conduct = this.conducts.shift();
      await sink.write(this.page());
      await conduct?.(call);
      await sink.write(this.page());
    });
  }

  /** One key: the name of the node. */
  private page(): Uint8Array {
    const kvs = [{ key: Buffer.from(this.name) }];
    return v1.RangeResponse.encode(v1.RangeResponse.fromPartial({ kvs })).finish();
  }
}

/** Takes connections; then says nothing, as a stopped process does, or hangs up. */
export class FakeSocket {
  connections = 0;
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  private constructor(kind: 'silent' | 'hangs up') {
    this.server = createServer((socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on('error', () => this.sockets.delete(socket));
      if (kind === 'hangs up') socket.destroy();
    });
  }

  static async start(kind: 'silent' | 'hangs up'): Promise<[node: FakeSocket, url: string]> {
    const node = new FakeSocket(kind);
    await new Promise<void>((listening) => node.server.listen(0, '127.0.0.1', listening));
    return [node, `http://127.0.0.1:${(node.server.address() as AddressInfo).port}`];
  }

  async kill(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((closed) => this.server.close(closed));
  }
}
