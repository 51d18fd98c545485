/**
 * A few thousand damaged streams under a fixed seed, against a server in this process; a run of any
 * length is `npm run fuzz:grpc`.
 */
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { FUZZ_METHODS, fuzzStream } from '../../src/testing/fuzz-streams.js';
import { registerEcho } from '../echo-service.js';
import { innocent, startForTest } from './native-server.js';

const STREAMS = 3000;
const SEED = 7;
const AT_ONCE = 16;

it('damaged streams leave the server, and whoever else it serves, undisturbed', async () => {
  const { server, port } = await startForTest({}, {}, (target) => {
    registerEcho(target);
    target.register(FUZZ_METHODS.unary, 'unary', (request) => request);
    target.register(FUZZ_METHODS.guarded, 'unary', (request) => Promise.resolve(request));
    target.authorize('fuzz.v1.Guarded', () => Promise.resolve());
    target.register(FUZZ_METHODS.serverStream, 'server-stream', async (request, _call, sink) => {
      await sink.write(request);
    });
    target.register(FUZZ_METHODS.clientStream, 'client-stream', async (requests) => {
      let count = 0;
      for await (const request of requests) count += request.length;
      return Buffer.from(String(count));
    });
    target.register(FUZZ_METHODS.bidi, 'bidi', async (requests, _call, sink) => {
      for await (const request of requests) await sink.write(request);
    });
  });
  const call = await innocent(port);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let number = next++; number < STREAMS; number = next++) {
      await sendOne(port, number);
      if (number % 100 === 0) expect(await call()).toBe('innocent 0');
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  expect(await call()).toBe('innocent 0');
  await expect.poll(() => server.activeCalls, { timeout: 20_000 }).toBe(0);
  await expect.poll(() => server.connections, { timeout: 20_000 }).toBe(1);
});

function sendOne(port: number, number: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.resume();
    socket.once('connect', () => {
      for (const piece of fuzzStream(SEED, number)) socket.write(piece);
      socket.end();
    });
  });
}
