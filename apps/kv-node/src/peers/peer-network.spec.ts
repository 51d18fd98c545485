/**
 * Two and three nodes' networks on real sockets, without anything behind them.
 */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { MessageType, type Message, type PeerFrame } from '@flotilla/raft';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type KnownNode, type PeerIdentity, type Refusal } from './hello.js';
import { GRPC_TRANSPORT } from './peer-transport.js';
import { PeerNetwork } from './peer-network.js';
import { PeerServer, type PeerHandlers } from './peer-server.js';

const WAIT = { timeout: 5_000, interval: 5 };
const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined };
const unused = () => Promise.reject(new Error('not asked for here'));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function message(to: number, from: number, index = 1, bytes = 10): Message {
  return {
    type: MessageType.App,
    to,
    from,
    term: 1,
    logTerm: 1,
    index,
    entries: [{ term: 1, index: index + 1, type: 0, data: Buffer.alloc(bytes, 'x') }],
    commit: 0,
    vote: 0,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: undefined,
    responses: [],
  };
}

class Node {
  readonly known = new Map<number, KnownNode>();
  readonly frames: { from: number; frame: PeerFrame }[] = [];
  readonly events: string[] = [];
  readonly refusals: { node: number; refusal: Refusal; by: string }[] = [];
  readonly dropped: number[] = [];
  readonly own: PeerIdentity;
  readonly network: PeerNetwork;
  server: PeerServer;
  private ticker: NodeJS.Timeout | undefined;

  constructor(
    readonly id: number,
    readonly port: number,
    fields: Partial<PeerIdentity> = {},
    queueBytesMax = 0,
  ) {
    const identity = `identity-${id}`;
    this.own = {
      clusterName: 'c',
      clusterId: '',
      nodeId: id,
      identity,
      joined: false,
      ...fields,
    };
    this.network = new PeerNetwork(
      this.own,
      this.directory(),
      {
        transport: GRPC_TRANSPORT,
        tls: undefined,
        queueBytesMax,
        heartbeatTicks: 4,
        silentTicks: 40,
        random: Math.random,
        defer: (task) => void setImmediate(task),
      },
      {
        up: (node) => this.events.push(`up ${node}`),
        down: (node, cause) => this.events.push(`down ${node} ${cause}`),
        refused: (node, refusal, by) => this.refusals.push({ node, refusal, by }),
        dropped: (_node, group) => this.dropped.push(group),
        hasInbound: (node) => this.server.isOpenFrom(node),
      },
    );
    this.server = this.makeServer();
  }

  makeServer(): PeerServer {
    const handlers: PeerHandlers = {
      frame: (from, frame) => {
        this.network.heard(from, frame.heartbeat?.draining);
        this.frames.push({ from, frame });
        for (const answer of frame.answers) this.network.answered(from, answer);
        for (const { id, request } of frame.calls) {
          const answer = { index: 7, code: 0, message: '', notExecuted: false };
          this.network.answer(from, { id, answer: request, ...answer });
        }
      },
      inbound: (from, isOpen) => this.network.inbound(from, isOpen),
      readSnapshot: () => {
        throw new Error('not asked for here');
      },
      callStream: unused,
      awaitCatalog: unused,
      refused: () => undefined,
    };
    return new PeerServer(this.own, this.directory(), handlers, quiet);
  }

  async start(): Promise<void> {
    await this.server.listen(`127.0.0.1:${this.port}`, undefined);
    this.network.refresh();
    this.ticker = setInterval(() => this.network.tick(performance.now()), 50);
  }

  get messages(): Message[] {
    return this.frames.flatMap(({ frame }) => frame.messages.map((each) => each.message));
  }

  async close(): Promise<void> {
    clearInterval(this.ticker);
    await Promise.all([this.network.close(), this.server.close(0)]);
  }

  private directory() {
    return { find: (id: number) => this.known.get(id), others: () => this.known.keys() };
  }
}

const running: Node[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.close()));
});

async function pair(fields: Partial<PeerIdentity> = {}, queueBytesMax = 0): Promise<[Node, Node]> {
  const [a, b] = [
    new Node(1, await freePort(), {}, queueBytesMax),
    new Node(2, await freePort(), fields),
  ];
  introduce(a, b);
  running.push(a, b);
  await Promise.all([a.start(), b.start()]);
  return [a, b];
}

function introduce(a: Node, b: Node): void {
  const rest = { identity: '', removed: false, joining: false };
  a.known.set(b.id, { address: `127.0.0.1:${b.port}`, ...rest });
  b.known.set(a.id, { address: `127.0.0.1:${a.port}`, ...rest });
}

async function connected(...nodes: Node[]): Promise<void> {
  await vi.waitFor(() => {
    for (const node of nodes) {
      for (const id of node.known.keys()) expect(node.network.isAlive(id)).toBe(true);
    }
  }, WAIT);
}

describe('the network of a node', () => {
  it('sends what one turn has for a node as one frame, in order', async () => {
    const [a, b] = await pair();
    await connected(a, b);
    for (let index = 0; index < 100; index++) a.network.send(7, message(2, 1, index));
    await vi.waitFor(() => expect(b.messages).toHaveLength(100), WAIT);
    expect(b.messages.map(({ index }) => index)).toEqual(
      Array.from({ length: 100 }, (_, at) => at),
    );
    expect(b.frames.filter(({ frame }) => frame.messages.length > 0)).toHaveLength(1);
  });

  it('cuts a turn that is larger than a frame may be', async () => {
    const [a, b] = await pair();
    await connected(a, b);
    for (let index = 0; index < 12; index++) a.network.send(7, message(2, 1, index, 1024 * 1024));
    await vi.waitFor(() => expect(b.messages).toHaveLength(12), WAIT);
    const frames = b.frames.filter(({ frame }) => frame.messages.length > 0);
    expect(frames.length).toBeGreaterThan(1);
    expect(b.messages.map(({ index }) => index)).toEqual(Array.from({ length: 12 }, (_, at) => at));
  });

  it('has calls answered, and fails those of a node that is lost', async () => {
    const [a, b] = await pair();
    await connected(a, b);
    const call = { method: 'm', request: Buffer.from('bytes'), hops: 0 };
    const answer = await a.network.pass(2, call, 1_000, performance.now() + 1_000);
    expect(Buffer.from(answer.answer).toString()).toBe('bytes');
    expect(answer.index).toBe(7);
    await b.close();
    await vi.waitFor(() => expect(a.network.isAlive(2)).toBe(false), WAIT);
    await expect(a.network.pass(2, call, 1_000, performance.now() + 1_000)).rejects.toMatchObject({
      metadata: { 'flotilla-not-executed': '1' },
    });
  });

  it('ends a call that is not answered in time', async () => {
    const [a, b] = await pair();
    await connected(a, b);
    b.network.answer = () => undefined;
    const call = { method: 'm', request: Buffer.alloc(0), hops: 0 };
    await expect(a.network.pass(2, call, 100, performance.now() + 100)).rejects.toMatchObject({
      message: 'timeout',
      metadata: undefined,
    });
  });

  it('knows within moments that a node has died, and that it is back', async () => {
    const [a, b] = await pair();
    await connected(a, b);
    const startedMs = performance.now();
    await b.close();
    await vi.waitFor(() => expect(a.events).toContain('down 2 closed'), WAIT);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    const again = new Node(2, b.port);
    introduce(a, again);
    running.push(again);
    await again.start();
    await connected(a, again);
    expect(a.events).toEqual(['up 2', 'down 2 closed', 'up 2']);
  });

  it('takes a node that falls silent for lost, and hears of its return', async () => {
    const [a, b] = await pair();
    const link = await Proxy.before(b);
    a.known.set(2, {
      address: `127.0.0.1:${link.port}`,
      identity: '',
      removed: false,
      joining: false,
    });
    const toA = await Proxy.before(a);
    b.known.set(1, {
      address: `127.0.0.1:${toA.port}`,
      identity: '',
      removed: false,
      joining: false,
    });
    a.network.refresh();
    b.network.refresh();
    await connected(a, b);
    a.events.length = 0;
    toA.stall(true);
    await vi.waitFor(() => expect(a.events).toContain('down 2 silent'), WAIT);
    toA.stall(false);
    await vi.waitFor(() => expect(a.events).toContain('up 2'), WAIT);
    link.close();
    toA.close();
  });

  it('drops what does not fit behind a node that takes nothing, counts it, and grows no further', async () => {
    const [a, b] = await pair({}, 3 * 1024 * 1024);
    await connected(a, b);
    const link = await Proxy.before(b);
    a.known.set(2, {
      address: `127.0.0.1:${link.port}`,
      identity: '',
      removed: false,
      joining: false,
    });
    a.network.refresh();
    await vi.waitFor(
      () => expect(a.events.filter((each) => each === 'up 2')).toHaveLength(2),
      WAIT,
    );
    link.stall(true);
    for (let round = 0; round < 40; round++) {
      for (let at = 0; at < 4; at++) a.network.send(9, message(2, 1, 1, 256 * 1024));
      await new Promise(setImmediate);
    }
    expect(a.network.counters.dropped).toBeGreaterThan(50);
    expect(a.dropped[0]).toBe(9);
    link.close();
  });

  it('refuses a node of another cluster by name, on both sides', async () => {
    const [a, b] = await pair({ clusterName: 'other' });
    await vi.waitFor(() => {
      expect(a.refusals[0]?.refusal.reason).toContain(
        'node 1 belongs to cluster "c", node 2 to "other"',
      );
      expect(b.refusals[0]?.refusal.kind).toBe('cluster-name');
    }, WAIT);
    expect(a.network.isAlive(2)).toBe(false);
  });

  it('refuses a node that took over an id, and one whose address leads elsewhere', async () => {
    const [a, b] = await pair();
    await connected(a, b);
    const rest = { removed: false, joining: false };
    a.known.set(2, { address: `127.0.0.1:${b.port}`, identity: 'the old one', ...rest });
    await b.close();
    const again = new Node(2, b.port);
    introduce(again, again);
    again.known.delete(2);
    again.known.set(1, { address: `127.0.0.1:${a.port}`, identity: '', ...rest });
    running.push(again);
    await again.start();
    await vi.waitFor(() => expect(again.refusals[0]?.refusal.kind).toBe('identity'), WAIT);
    expect(again.refusals[0]?.by).toBe('them');
    a.known.set(3, { address: `127.0.0.1:${b.port}`, identity: '', ...rest });
    a.network.refresh();
    await vi.waitFor(() => {
      expect(a.refusals.map(({ refusal }) => refusal.kind)).toContain('target');
    }, WAIT);
    expect(a.network.isAlive(2)).toBe(false);
  });

  it('drops messages that come from another node than the one that sent them', async () => {
    const [a, b] = await pair();
    await connected(a, b);
    a.network.send(7, message(2, 3));
    a.network.send(7, { ...message(2, 1), index: 5 });
    await vi.waitFor(() => expect(b.messages).toHaveLength(1), WAIT);
    expect(b.messages[0]?.index).toBe(5);
    expect(b.server.forged).toBe(1);
  });

  it('tells in heartbeats that it is about to stop', async () => {
    const [a, b] = await pair();
    await connected(a, b);
    expect(b.network.isDraining(1)).toBe(false);
    a.network.draining = true;
    await vi.waitFor(() => expect(b.network.isDraining(1)).toBe(true), WAIT);
  });
});

/** A way to a node that can be stopped without being broken. */
class Proxy {
  private readonly sockets = new Set<Socket>();
  private isStalled = false;

  private constructor(private readonly server: Server) {}

  static async before(node: Node): Promise<Proxy> {
    const server = createServer();
    const proxy = new Proxy(server);
    server.on('connection', (socket) => {
      const target = connect(node.port, '127.0.0.1');
      for (const [from, to] of [
        [socket, target],
        [target, socket],
      ] as const) {
        proxy.sockets.add(from);
        from.on('data', (data) => to.write(data));
        from.on('close', () => to.destroy());
        from.on('error', () => to.destroy());
        if (proxy.isStalled) from.pause();
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  stall(isStalled: boolean): void {
    this.isStalled = isStalled;
    for (const socket of this.sockets) {
      if (isStalled) socket.pause();
      else socket.resume();
    }
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}
