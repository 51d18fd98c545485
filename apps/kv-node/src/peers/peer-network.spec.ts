/**
 * Two and three nodes' networks on real sockets, without anything behind them.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createGrpcJsServer } from '@flotilla/grpc';
import { freePort } from '@flotilla/grpc/testing';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type PeerIdentity } from './hello.js';
import { peerPath } from './peer-server.js';
import {
  introduce,
  message,
  NEVER_SILENT,
  quiet,
  TestNode,
  type TestNodeOptions,
} from './testing/test-node.js';

/** Time enough for a busy machine; it comes within moments. */
const WAIT = { timeout: 60_000, interval: 5 };
/** The same for a call that is to be answered. */
const CALL_MS = 30_000;
const running: TestNode[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.close()));
});

async function pair(
  fields: Partial<PeerIdentity> = {},
  options: TestNodeOptions = {},
): Promise<[TestNode, TestNode]> {
  const [a, b] = [
    new TestNode(1, await freePort(), {}, options),
    new TestNode(2, await freePort(), fields),
  ];
  introduce(a, b);
  running.push(a, b);
  await Promise.all([a.start(), b.start()]);
  return [a, b];
}

async function connected(...nodes: TestNode[]): Promise<void> {
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
    const answer = await a.network.pass(2, call, CALL_MS, performance.now() + CALL_MS);
    expect(Buffer.from(answer.answer).toString()).toBe('bytes');
    expect(answer.index).toBe(7);
    await b.close();
    await vi.waitFor(() => expect(a.network.isAlive(2)).toBe(false), WAIT);
    await expect(
      a.network.pass(2, call, CALL_MS, performance.now() + CALL_MS),
    ).rejects.toMatchObject({
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

  it('knows from the end of the connection that a node has died, and that it is back', async () => {
    const [a, b] = await pair({}, NEVER_SILENT);
    await connected(a, b);
    await b.close();
    await vi.waitFor(() => expect(a.events).toContain('down 2 closed'), WAIT);
    const again = new TestNode(2, b.port);
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
    const [a, b] = await pair({}, { queueBytesMax: 3 * 1024 * 1024 });
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
    // 160 of 256 KiB were offered: the queue took 12, and 5 or so were on their way already.
    expect(a.network.counters.dropped).toBeGreaterThan(120);
    expect(a.dropped[0]).toBe(9);
    link.close();
  });

  it('does not wait for a node that takes its call and never answers it', async () => {
    let calls = 0;
    const server = createGrpcJsServer({ logger: quiet, keepaliveMinTimeMs: 0 });
    server.register(peerPath('Connect'), 'bidi', () => {
      calls++;
      return new Promise<void>(() => undefined);
    });
    const { url } = await server.listen('http://127.0.0.1:0');
    onTestFinished(async () => void (await server.close()));
    const a = new TestNode(1, await freePort());
    const rest = { identity: '', removed: false, joining: false };
    a.known.set(2, { address: new URL(url).host, ...rest });
    running.push(a);
    await a.start();
    await vi.waitFor(() => expect(calls).toBe(2), WAIT);
    await vi.waitFor(() => expect(server.connections).toBe(1), WAIT);
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
    const again = new TestNode(2, b.port);
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

  static async before(node: TestNode): Promise<Proxy> {
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
