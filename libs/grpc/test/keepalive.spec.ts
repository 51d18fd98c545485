/**
 * Connections whose other end has gone without a word, and clients that end theirs.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WRITE_AHEAD_BYTES_MAX, WRITE_AHEAD_MAX } from '../src/grpc-js/write-messages.js';
import { PATH, registerEcho, startServer } from './echo-service.js';
import { createTestClient } from './transport-under-test.js';

const EMPTY = Buffer.alloc(0);
/** No shorter: on a busy machine a healthy pair of them may not get to run for that long. */
const KEEPALIVE = { timeMs: 50, timeoutMs: 700 };
/** The client is to be the first to know: it says Unavailable then. */
const SERVER_KEEPALIVE = { timeMs: 50, timeoutMs: 1_400 };
/** Some times what the settings above say; TCP itself would take minutes. */
const NOTICED_MS = 15_000;

/** A way to a server on which one direction, or both, can be made to swallow everything. */
async function path(port: number) {
  const dead = { there: false, back: false };
  const sockets = new Set<Socket>();
  const carry = (from: Socket, to: Socket, direction: 'there' | 'back') => {
    sockets.add(from);
    from.on('data', (data) => void (dead[direction] || to.write(data)));
    from.on('error', () => undefined);
    from.on('close', () => {
      sockets.delete(from);
      if (!dead[direction]) to.destroy();
    });
  };
  const server = createServer((socket) => {
    const target = connect(port, '127.0.0.1');
    carry(socket, target, 'there');
    carry(target, socket, 'back');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { dead, sockets, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** A source that says nothing for as long as its call lasts. */
async function* silence(): AsyncGenerator<Buffer, void, undefined> {
  yield EMPTY;
  await sleep(60_000, undefined, { ref: false });
}

describe('a connection', () => {
  it.each([
    { there: true, back: false },
    { there: false, back: true },
    { there: true, back: true },
  ])('on which nothing arrives any more (%j) ends at both ends', async (which) => {
    const { server, port } = await startServer({
      keepalive: SERVER_KEEPALIVE,
      keepaliveMinTimeMs: 0,
    });
    const { dead, url } = await path(port);
    const client = createTestClient(url, { keepalive: KEEPALIVE });
    onTestFinished(() => client.close());
    const answers = client.bidi(PATH.chat, silence())[Symbol.asyncIterator]();
    await answers.next();
    // As long as it is well, silence is no reason to end it.
    await sleep(1_600);
    expect(server.activeCalls).toBe(1);
    Object.assign(dead, which);
    const startedMs = performance.now();
    await expect(answers.next()).rejects.toMatchObject({ code: 14 });
    await expect.poll(() => server.connections).toBe(0);
    expect(server.activeCalls).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(NOTICED_MS);
  });
});

describe('a client that is reset', () => {
  it('fails the calls that are open, and makes the next on another connection', async () => {
    const { server, url } = await startServer({}, undefined, undefined, (target) => {
      registerEcho(target);
      target.register('/t.S/Stuck', 'unary', () => new Promise<Buffer>(() => undefined));
    });
    const client = createTestClient(url);
    const other = createTestClient(url);
    onTestFinished(() => client.close());
    onTestFinished(() => other.close());
    const caller = new AbortController();
    const kept = other
      .unary('/t.S/Stuck', EMPTY, { signal: caller.signal })
      .catch((error: unknown) => error);
    const stuck = client.unary('/t.S/Stuck', EMPTY).catch((error: unknown) => error);
    await expect.poll(() => server.activeCalls).toBe(2);
    client.reset();
    expect(await stuck).toMatchObject({ code: 14 });
    expect((await client.unary(PATH.unary, EMPTY)).length).toBe(0);
    await expect.poll(() => server.connections).toBe(2);
    // Nobody else's connection was ended with it.
    caller.abort();
    expect(await kept).toMatchObject({ code: 1 });
  });

  it('gives up a connection that never came to life', async () => {
    const { port } = await startServer();
    const { dead, sockets, url } = await path(port);
    Object.assign(dead, { there: true, back: true });
    const client = createTestClient(url);
    onTestFinished(() => client.close());
    const ready = client.waitForReady(200).catch((error: unknown) => error);
    await expect.poll(() => sockets.size).toBeGreaterThan(0);
    expect(await ready).toMatchObject({ code: 14 });
    const [dialled] = sockets;
    expect(dialled?.destroyed).toBe(false);
    client.reset();
    await expect.poll(() => dialled?.destroyed).toBe(true);
    Object.assign(dead, { there: false, back: false });
    await client.waitForReady(30_000);
  });

  it('stays closed once it is closed', async () => {
    const { url } = await startServer();
    const client = createTestClient(url);
    client.close();
    client.reset();
    await expect(client.unary(PATH.unary, EMPTY)).rejects.toThrow('shut down');
  });
});

describe('requests that nobody takes', () => {
  /** What the sockets, the window and the server take of them. */
  const TAKEN_BYTES_MAX = 1_280 * 1024;

  it.each([
    [256 * 1024, WRITE_AHEAD_BYTES_MAX / (256 * 1024) + 1],
    [8 * 1024, WRITE_AHEAD_MAX],
  ])('of %d bytes are pulled from their source within bounds', async (bytes, aheadMax) => {
    const { url } = await startServer({}, undefined, undefined, (server) => {
      server.register('/t.S/Deaf', 'bidi', () => new Promise<void>(() => undefined));
    });
    const client = createTestClient(url);
    onTestFinished(() => client.close());
    let pulled = 0;
    async function* requests(): AsyncGenerator<Buffer, void, undefined> {
      while (pulled++ < 1_000) yield Buffer.alloc(bytes);
    }
    const answers = client.bidi('/t.S/Deaf', requests())[Symbol.asyncIterator]();
    const ended = answers.next().catch((error: unknown) => error);
    await expect.poll(() => pulled).toBeGreaterThan(0);
    await sleep(300);
    expect(pulled).toBeLessThanOrEqual(1 + aheadMax + TAKEN_BYTES_MAX / bytes);
    const before = pulled;
    client.close();
    await ended;
    expect(pulled).toBe(before);
  });
});
