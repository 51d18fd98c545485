/**
 * The native client against servers that break, refuse, hold back and go away.
 *
 * The servers are connections of `node:http2` or bytes by hand, so that they do what no good server does.
 */
import { once } from 'node:events';
import {
  createServer as createHttp2Server,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type GrpcClientOptions } from '../../src/client.js';
import { DEADLINE_SKEW_MS } from '../../src/native/client-call.js';
import { ClientPool } from '../../src/native/client-pool.js';
import { NativeClient } from '../../src/native/client.js';
import { parseAddress } from '../../src/address.js';
import { createNativeServer } from '../../src/native/server.js';
import { type GrpcServer } from '../../src/transport.js';
import { PATH, recordingLogger, registerEcho } from '../echo-service.js';
import { frame } from '../raw-client.js';

const EMPTY = Buffer.alloc(0);
const ANSWER = { ':status': 200, 'content-type': 'application/grpc' } as const;

function clientOf(ports: readonly number[], options: GrpcClientOptions = {}): NativeClient {
  const addresses = ports.map((port) => parseAddress(`http://127.0.0.1:${port}`, 'address'));
  const quick = { reconnectMinMs: 20, reconnectMaxMs: 50, ...options };
  const client = new NativeClient(new ClientPool(addresses, quick, () => 0));
  onTestFinished(() => client.close());
  return client;
}

interface Fake {
  readonly port: number;
  readonly sessions: Set<ServerHttp2Session>;
  readonly server: Http2Server;
}

/** A server of `node:http2` that does with each stream what the test says. */
async function fake(
  onStream: (stream: ServerHttp2Stream, number: number) => void,
  settings = {},
): Promise<Fake> {
  const server = createHttp2Server({ settings });
  const sessions = new Set<ServerHttp2Session>();
  let number = 0;
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    onStream(stream, ++number);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sessions, server };
}

function answer(stream: ServerHttp2Stream, ...messages: Buffer[]): void {
  stream.respond(ANSWER, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  for (const message of messages) stream.write(frame(message));
  stream.end();
}

async function realServer(prepare: (server: GrpcServer) => void = registerEcho, streams = 0) {
  const server = createNativeServer({
    logger: recordingLogger(),
    ...(streams > 0 && { concurrentStreamsMax: streams }),
  });
  prepare(server);
  const { port = 0 } = await server.listen('http://127.0.0.1:0');
  onTestFinished(async () => void (await server.close()));
  return { server, port };
}

async function codeOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => 0,
    (error: unknown) => (error as { code: unknown }).code,
  );
}

async function collect(answers: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const seen: Buffer[] = [];
  for await (const message of answers) seen.push(message);
  return seen;
}

const KINDS = ['unary', 'serverStream', 'clientStream', 'bidi'] as const;

function callOf(client: NativeClient, kind: (typeof KINDS)[number]): Promise<unknown> {
  switch (kind) {
    case 'unary':
      return client.unary('/t.S/Call', EMPTY);
    case 'clientStream':
      return client.clientStream('/t.S/Call', [EMPTY]);
    case 'serverStream':
      return collect(client.serverStream('/t.S/Call', EMPTY));
    case 'bidi':
      return collect(client.bidi('/t.S/Call', [EMPTY]));
  }
}

describe('a connection that is cut in the middle of a call', () => {
  it.each(KINDS)(
    'ends a call of kind %s as Unavailable, and it is not made again',
    async (kind) => {
      let streams = 0;
      const { port } = await fake((stream, number) => {
        streams = number;
        stream.respond(ANSWER);
        stream.write(frame(EMPTY).subarray(0, 3));
        setTimeout(() => stream.session?.destroy(), 20);
      });
      expect(await codeOf(callOf(clientOf([port]), kind))).toBe(14);
      await sleep(50);
      expect(streams).toBe(1);
    },
  );
});

describe('a call that the server never looked at', () => {
  it.each(KINDS)('is made once more after a refusal (%s), and no third time', async (kind) => {
    let refusals = 1;
    let streams = 0;
    const { port } = await fake((stream, number) => {
      streams = number;
      if (refusals-- > 0) stream.close(7);
      else answer(stream, EMPTY);
    });
    const client = clientOf([port]);
    expect(await codeOf(callOf(client, kind))).toBe(0);
    expect(streams).toBe(2);
    refusals = 10;
    expect(await codeOf(callOf(client, kind))).toBe(14);
    expect(streams).toBe(4);
  });

  it.each(KINDS)('is made on another connection after GOAWAY (%s)', async (kind) => {
    const served: number[] = [];
    let connections = 0;
    const { port, server } = await fake((stream) => {
      if (connections === 1 && stream.id !== undefined && stream.id > 1) {
        // The first stream is served to its end, the second was never looked at.
        stream.session?.goaway(0, 1);
        return;
      }
      served.push(stream.id ?? 0);
      setTimeout(() => answer(stream, EMPTY), 50);
    });
    server.on('session', () => connections++);
    const client = clientOf([port]);
    const first = callOf(client, kind);
    await expect.poll(() => served.length).toBe(1);
    const second = callOf(client, kind);
    expect([await codeOf(first), await codeOf(second)]).toEqual([0, 0]);
    expect([connections, served]).toEqual([2, [1, 1]]);
  });
});

describe('calls beyond the streams that a server takes', () => {
  it('wait for a place, in order, until their deadline', async () => {
    let running = 0;
    let most = 0;
    const { port } = await realServer((server) => {
      server.register('/t.S/Slow', 'unary', async (request) => {
        most = Math.max(most, ++running);
        await sleep(30);
        running--;
        return request;
      });
    }, 3);
    const client = clientOf([port]);
    await client.waitForReady(1_000);
    const ends: number[] = [];
    const calls = Array.from({ length: 12 }, async (_, number) => {
      await client.unary('/t.S/Slow', EMPTY);
      ends.push(number);
    });
    expect(client.pool.usage.waiting).toBe(9);
    expect(await codeOf(client.unary('/t.S/Slow', EMPTY, { deadlineMs: 40 }))).toBe(4);
    await Promise.all(calls);
    expect(most).toBe(3);
    expect(ends).toEqual([...ends].sort((a, b) => a - b));
    expect(client.pool.usage).toEqual({ connections: 1, waiting: 0, deadlines: 0 });
  });
});

describe('several addresses', () => {
  it('take calls in turn, and those that are broken are passed over', async () => {
    const counts = [0, 0];
    const counting = (at: number) => (server: GrpcServer) =>
      server.register('/t.S/Call', 'unary', (request) => {
        counts[at] = (counts[at] ?? 0) + 1;
        return request;
      });
    const [one, two, gone] = [
      await realServer(counting(0)),
      await realServer(counting(1)),
      await realServer(),
    ];
    await gone.server.close();
    const client = clientOf([gone.port, one.port, two.port]);
    await client.unary('/t.S/Call', EMPTY);
    await expect.poll(() => client.pool.usage.connections).toBe(2);
    for (let round = 0; round < 20; round++) await client.unary('/t.S/Call', EMPTY);
    expect(Math.abs((counts[0] ?? 0) - (counts[1] ?? 0))).toBeLessThanOrEqual(3);
    await one.server.close();
    for (let round = 0; round < 20; round++) await client.unary('/t.S/Call', EMPTY);
    expect(counts[1]).toBeGreaterThanOrEqual(29);
  });

  it('of which none answers fail a call at once, unless it waits for ready', async () => {
    const { server, port } = await realServer();
    await server.close();
    const client = clientOf([port]);
    const refused = client.unary(PATH.unary, EMPTY);
    await expect(refused).rejects.toThrow(
      /^No connection established\. Last error: .*ECONNREFUSED/,
    );
    const patient = client.unary(PATH.unary, EMPTY, { waitForReady: true, deadlineMs: 5_000 });
    await sleep(100);
    const again = createNativeServer({ logger: recordingLogger() });
    registerEcho(again);
    await again.listen(`http://127.0.0.1:${port}`);
    onTestFinished(async () => void (await again.close()));
    expect(await patient).toEqual(EMPTY);
  });
});

describe('a deadline', () => {
  it('ends a call neither early nor much later, and tells the server', async () => {
    const { server, port } = await realServer((each) =>
      each.register('/t.S/Stuck', 'unary', () => new Promise<Buffer>(() => undefined)),
    );
    const client = clientOf([port]);
    await client.waitForReady(30_000);
    const times = [20, 55, 90, 130];
    await Promise.all(
      times.map(async (deadlineMs) => {
        const startedMs = performance.now();
        const code = codeOf(client.unary('/t.S/Stuck', EMPTY, { deadlineMs }));
        // Against a timer and not the clock: this process may be the one that stands still.
        expect(await Promise.race([code, sleep(deadlineMs + 100, 'late')])).toBe(4);
        const tookMs = performance.now() - startedMs;
        expect(tookMs).toBeGreaterThanOrEqual(deadlineMs - DEADLINE_SKEW_MS);
      }),
    );
    // Handlers that never end are cut when the server closes; their streams are gone before.
    expect(server.connections).toBe(1);
    expect(client.pool.usage.deadlines).toBe(0);
  });
});

describe('a reader that does not read', () => {
  it('holds the server back within the window of its stream, and loses nothing', async () => {
    const message = Buffer.alloc(16 * 1024, 'x');
    const count = 400;
    let written = 0;
    const { port } = await realServer((server) =>
      server.register('/t.S/Flood', 'server-stream', async (_request, _call, sink) => {
        for (; written < count; written++) await sink.write(message);
      }),
    );
    const client = clientOf([port]);
    const answers = client.serverStream('/t.S/Flood', EMPTY)[Symbol.asyncIterator]();
    await answers.next();
    await sleep(200);
    // The window of 1 MiB, and a little that waits in the server itself.
    expect(written).toBeLessThan(90);
    let seen = 1;
    while (!(await answers.next()).done) seen++;
    expect(seen).toBe(count);
  });
});

describe('ten thousand calls of every kind and end', () => {
  it('leave no stream, deadline, listener or waiting call behind', async () => {
    const { server, port } = await realServer((each) => {
      registerEcho(each);
      each.register(
        '/t.S/Stuck',
        'unary',
        (_request, call) =>
          new Promise<Buffer>((_resolve, reject) => {
            call.signal.addEventListener('abort', () => reject(call.signal.reason as Error));
          }),
      );
    });
    const client = clientOf([port]);
    const shared = new AbortController();
    const listening = new Set<unknown>();
    const { signal } = shared;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...given: Parameters<typeof add>) => {
      listening.add(given[1]);
      add(...given);
    };
    signal.removeEventListener = (...given: Parameters<typeof remove>) => {
      // Taking back what was never given is nothing: a call may end before it listens.
      listening.delete(given[1]);
      remove(...given);
    };
    const options = { deadlineMs: 30_000, signal };
    for (let round = 0; round < 100; round++) {
      const calls = Array.from({ length: 100 }, (_, at) => {
        switch (at % 5) {
          case 0:
            return client.unary(PATH.unary, EMPTY, options);
          case 1:
            return codeOf(client.unary('/t.S/Nope', EMPTY, options));
          case 2:
            return collect(client.bidi(PATH.chat, [EMPTY, EMPTY], options));
          case 3:
            return client.clientStream(PATH.collect, [EMPTY], options);
          default:
            return codeOf(client.unary('/t.S/Stuck', EMPTY, { deadlineMs: 5, signal }));
        }
      });
      await Promise.all(calls);
    }
    expect(listening.size).toBe(0);
    expect(client.pool.usage).toEqual({ connections: 1, waiting: 0, deadlines: 0 });
    await expect.poll(() => server.activeCalls).toBe(0);
  });
}, 60_000);
