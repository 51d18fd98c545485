/**
 * Nodes for tests of failover: one that serves a little of the KV API as it is told to, and some that
 * are there for the network only, or break the rules.
 *
 * Each counts what reached it. Must never be shared between tests: the counts are theirs.
 */
import { createServer as createHttp2Server, type ServerHttp2Session } from 'node:http2';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import {
  createGrpcJsServer,
  GrpcStatusError,
  status,
  type CallContext,
  type GrpcServer,
} from '@flotilla/grpc';
import { regattaV1 as v1 } from '@flotilla/proto';

const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined };

/** What a node does before it answers: nothing, throw, or wait. */
export type Conduct = (call: CallContext) => void | Promise<void>;

export class FakeNode {
  /** How often it was asked for a sign of life. It does not know the service, as a plain server. */
  asked = 0;
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
    this.server.register('/grpc.health.v1.Health/Check', 'unary', () => {
      this.asked++;
      throw new GrpcStatusError(status.UNIMPLEMENTED, 'unknown service');
    });
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

  private constructor(take: (socket: Socket, node: FakeSocket) => void) {
    this.server = createServer((socket) => {
      this.connections++;
      this.keep(socket);
      take(socket, this);
    });
  }

  static silent(): Promise<[node: FakeSocket, url: string]> {
    return FakeSocket.start(() => undefined);
  }

  static hangingUp(): Promise<[node: FakeSocket, url: string]> {
    return FakeSocket.start((socket) => socket.destroy());
  }

  /** Passes everything on to a node, until it is frozen. */
  static before(url: string): Promise<[node: FakeSocket, url: string]> {
    const { hostname, port } = new URL(url);
    return FakeSocket.start((socket, node) => {
      const onwards = connect(Number(port), hostname);
      node.keep(onwards);
      socket.pipe(onwards).pipe(socket);
    });
  }

  /** From now on nothing comes through, and nobody is told: the machine has lost its power. */
  freeze(): void {
    for (const socket of this.sockets) socket.unpipe().pause();
  }

  async kill(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((closed) => this.server.close(closed));
  }

  private static async start(
    take: (socket: Socket, node: FakeSocket) => void,
  ): Promise<[node: FakeSocket, url: string]> {
    const node = new FakeSocket(take);
    await new Promise<void>((listening) => node.server.listen(0, '127.0.0.1', listening));
    return [node, `http://127.0.0.1:${(node.server.address() as AddressInfo).port}`];
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => this.sockets.delete(socket));
  }
}

/** Begins every answer and then fails with the text: what it did in between, nobody can tell. */
export async function startFailingLate(
  text: string,
): Promise<{ readonly url: string; readonly seen: string[]; kill(): Promise<void> }> {
  const server = createHttp2Server();
  const sessions = new Set<ServerHttp2Session>();
  const seen: string[] = [];
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    if (headers[':path'] === '/regatta.v1.KV/Put') seen.push(headers[':path']);
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => {
      stream.sendTrailers({ 'grpc-status': String(status.UNAVAILABLE), 'grpc-message': text });
    });
    stream.end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    kill: async () => {
      for (const session of sessions) session.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}
