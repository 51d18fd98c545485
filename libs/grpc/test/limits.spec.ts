/**
 * What bounds a server: slow readers and fast writers, streams, connections, pings, age, and its end.
 */
import { connect as connectSocket } from 'node:net';
import { constants, connect } from 'node:http2';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { GrpcStatusError } from '../src/status.js';
import { type GrpcServer } from '../src/transport.js';
import {
  PATH,
  recordingLogger,
  registerEcho,
  startServer,
  temporaryFolder,
} from './echo-service.js';
import { createTestServer, createTestClient } from './transport-under-test.js';
import { answerOf, frame, openStream, rawSession } from './raw-client.js';

const EMPTY = Buffer.alloc(0);
const MIB = 1024 * 1024;

describe('a server stream', () => {
  it('stops writing to a reader that does not read, with flat memory, and goes on when it does', async () => {
    const message = Buffer.alloc(64 * 1024, 'm');
    const total = 3200;
    let written = 0;
    const { port } = await startServer({}, undefined, undefined, (server) => {
      server.register(PATH.expand, 'server-stream', async (_request, _call, sink) => {
        while (written < total) {
          written += 1;
          const wait = sink.write(message);
          if (wait !== undefined) {
            await wait;
          }
        }
      });
    });
    const stream = openStream(rawSession(port), PATH.expand);
    stream.end(frame(EMPTY));
    await expect.poll(() => written).toBeGreaterThan(0);
    const before = process.memoryUsage();
    let stalledAt = 0;
    while (written !== stalledAt) {
      stalledAt = written;
      await sleep(300);
    }
    expect(stalledAt).toBeLessThan(20);
    const grown = process.memoryUsage().rss - before.rss;
    expect(grown).toBeLessThan(16 * MIB);

    let bytes = 0;
    const over = new Promise((resolve) => stream.on('close', resolve));
    stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
    await over;
    expect(bytes).toBe(total * (message.length + 5));
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(64 * MIB);
  });

  it('to a stalled reader ends at its deadline', async () => {
    let end: unknown;
    const { server, port } = await startServer({}, undefined, undefined, (target) => {
      target.register(PATH.expand, 'server-stream', async (_request, _call, sink) => {
        try {
          for (;;) {
            await sink.write(Buffer.alloc(100_000));
          }
        } catch (error) {
          end = error;
          throw error;
        }
      });
    });
    const stream = openStream(rawSession(port), PATH.expand, { 'grpc-timeout': '200m' });
    const closed = new Promise((resolve) => stream.on('close', resolve));
    stream.end(frame(EMPTY));
    await expect.poll(() => end).toBeInstanceOf(GrpcStatusError);
    expect((end as GrpcStatusError).code).toBe(4);
    await expect.poll(() => server.activeCalls).toBe(0);
    stream.resume();
    await closed;
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });
});

describe('a client stream', () => {
  it('is not read further than its handler has read', async () => {
    let go: (() => void) | undefined;
    const { port } = await startServer({}, undefined, undefined, (server) => {
      server.register(PATH.collect, 'client-stream', async (requests) => {
        await new Promise<void>((resolve) => (go = resolve));
        let bytes = 0;
        for await (const request of requests) {
          bytes += request.length;
        }
        return Buffer.from(String(bytes));
      });
    });
    const stream = openStream(rawSession(port), PATH.collect);
    const answer = answerOf(stream);
    let sent = 0;
    for (let index = 0; index < 200; index += 1) {
      stream.write(frame(Buffer.alloc(100_000)), () => (sent += 1));
    }
    stream.end();
    await expect.poll(() => go).toBeDefined();
    await sleep(200);
    expect(sent).toBeLessThan(10);
    go?.();
    expect((await answer).messages[0]?.bytes.toString()).toBe('20000000');
  });
});

describe('connections', () => {
  it('over the limit wait for a place and are served when one is free', async () => {
    const { server, port } = await startServer({ connectionsMax: 2 });
    const sessions = [rawSession(port), rawSession(port)];
    for (const session of sessions) {
      const stream = openStream(session, PATH.unary);
      const answer = answerOf(stream);
      stream.end(frame(EMPTY));
      expect((await answer).status).toBe('0');
    }
    expect(server.connections).toBe(2);
    const late = openStream(rawSession(port), PATH.unary);
    const answer = answerOf(late);
    late.end(frame(Buffer.from('late')));
    const early = await Promise.race([answer, sleep(200, 'waiting')]);
    expect(early).toBe('waiting');
    sessions[0]?.destroy();
    expect((await answer).messages[0]?.bytes.toString()).toBe('late');
    expect(server.connections).toBe(2);
  });

  it('announce how many streams they take', async () => {
    const { port } = await startServer({ concurrentStreamsMax: 7 });
    const session = rawSession(port);
    const settings = await new Promise<{ maxConcurrentStreams?: number }>((resolve) =>
      session.on('remoteSettings', resolve),
    );
    expect(settings.maxConcurrentStreams).toBe(7);
  });

  it('that ping too often are told so and closed, and idle ones may ping', async () => {
    const { port, logger } = await startServer({ keepaliveMinTimeMs: 30_000 });
    const session = rawSession(port);
    await new Promise((resolve) => session.once('connect', resolve));
    const goaway = new Promise<[number, string]>((resolve) =>
      session.on('goaway', (code, _last, data) => resolve([code, String(data)])),
    );
    const ping = (): Promise<void> =>
      new Promise((resolve, reject) => {
        session.ping((error) => (error === null ? resolve() : reject(error)));
      });
    await ping();
    await ping();
    await ping();
    session.ping(() => undefined);
    expect(await goaway).toEqual([constants.NGHTTP2_ENHANCE_YOUR_CALM, 'too_many_pings']);
    expect(logger.lines.some(({ message }) => message.includes('pings too often'))).toBe(true);
  });

  it('may ping as often as they are answered something', async () => {
    const { port } = await startServer({ keepaliveMinTimeMs: 30_000 });
    const session = rawSession(port);
    for (let round = 0; round < 8; round += 1) {
      const stream = openStream(session, PATH.unary);
      const answer = answerOf(stream);
      stream.end(frame(EMPTY));
      expect((await answer).status).toBe('0');
      await new Promise((resolve) => session.ping(resolve));
    }
    expect(session.destroyed).toBe(false);
  });

  it('of a certain age end after their calls, and clients do not notice', async () => {
    let release = (): void => undefined;
    const released = new Promise<void>((done) => (release = done));
    const { server, url } = await startServer(
      { connectionAgeMaxMs: 150 },
      undefined,
      undefined,
      (target) => {
        registerEcho(target);
        target.register('/t.S/Slow', 'unary', async () => {
          await released;
          return Buffer.from('slow');
        });
      },
    );
    const client = createTestClient(url);
    onTestFinished(() => client.close());
    const slow = client.unary('/t.S/Slow', EMPTY);
    const call = () => client.unary(PATH.unary, EMPTY);
    // The old connection, kept by the slow call, beside the new one.
    await expect
      .poll(
        async () => {
          await call();
          return server.connections;
        },
        { interval: 5 },
      )
      .toBe(2);
    for (let calls = 0; calls < 10; calls++) await call();
    release();
    expect((await slow).toString()).toBe('slow');
    await call();
  });

  it('that break in the middle of anything leave the server standing', async () => {
    const { server, port } = await startServer();
    for (let round = 0; round < 20; round += 1) {
      const socket = connectSocket(port, '127.0.0.1');
      socket.on('error', () => undefined);
      const session = connect(`http://127.0.0.1:${port}`, { createConnection: () => socket });
      session.on('error', () => undefined);
      const stream = openStream(session, PATH.chat);
      stream.write(frame(Buffer.alloc(50_000)));
      await sleep(round);
      socket.resetAndDestroy();
    }
    const garbage = connectSocket(port, '127.0.0.1');
    garbage.on('error', () => undefined);
    garbage.end('GET / HTTP/1.1\r\n\r\n');
    await expect.poll(() => server.connections).toBe(0);
    expect(server.activeCalls).toBe(0);
    const stream = openStream(rawSession(port), PATH.unary);
    const answer = answerOf(stream);
    stream.end(frame(EMPTY));
    expect((await answer).status).toBe('0');
  });
});

describe('close', () => {
  const slow = (server: GrpcServer): void => {
    server.register('/t.S/Slow', 'unary', () => sleep(300, Buffer.from('done')));
    server.register('/t.S/Stuck', 'unary', () => new Promise<Buffer>(() => undefined));
  };

  it('lets running calls end, takes no new ones, and says so', async () => {
    const { server, url } = await startServer({}, undefined, undefined, slow);
    const client = createTestClient(url);
    onTestFinished(() => client.close());
    const running = client.unary('/t.S/Slow', EMPTY);
    await expect.poll(() => server.activeCalls).toBe(1);
    const closed = server.close({ graceMs: 5000 });
    expect(server.close()).toBe(closed);
    // What is sent before the client has heard of it is still served.
    await sleep(50);
    const late = client
      .unary('/t.S/Slow', EMPTY, { deadlineMs: 1000 })
      .catch((error: unknown) => error);
    expect((await running).toString()).toBe('done');
    expect(await closed).toBe(true);
    expect(await late).toBeInstanceOf(GrpcStatusError);
    expect(server.connections).toBe(0);
    await expect(server.listen('http://127.0.0.1:0')).rejects.toThrow('closed');
  });

  it('cuts what is left when the time is up', async () => {
    const { server, url } = await startServer({}, undefined, undefined, slow);
    const client = createTestClient(url);
    onTestFinished(() => client.close());
    const stuck = client.unary('/t.S/Stuck', EMPTY).catch((error: unknown) => error);
    await expect.poll(() => server.activeCalls).toBe(1);
    const before = Date.now();
    expect(await server.close({ graceMs: 100 })).toBe(false);
    expect(Date.now() - before).toBeLessThan(10_000);
    expect(await stuck).toBeInstanceOf(GrpcStatusError);
    expect(server.connections).toBe(0);
  });
});

describe('listen', () => {
  it('takes several addresses, and takes over a unix socket that nobody serves', async () => {
    const path = join(temporaryFolder(), 's.sock');
    const { server } = await startServer();
    await server.listen(`unix://${path}`);
    const second = createTestServer({ logger: recordingLogger() });
    await expect(second.listen(`unix://${path}`)).rejects.toThrow('EADDRINUSE');
    await server.close();
    expect(existsSync(path)).toBe(false);

    // What a process leaves that was killed: a socket file without a listener.
    const { execFileSync } = await import('node:child_process');
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    expect(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' })).toThrow();
    expect(existsSync(path)).toBe(true);
    await second.listen(`unix://${path}`);
    await second.close();
  });

  it('names the address that is taken', async () => {
    const { port } = await startServer();
    const second = createTestServer({ logger: recordingLogger() });
    await expect(second.listen(`http://127.0.0.1:${port}`)).rejects.toThrow(
      `cannot listen on http://127.0.0.1:${port}`,
    );
    await second.close();
  });
});
