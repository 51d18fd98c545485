// The server that `fuzz.mjs` sends damaged streams to: one handler of each kind, and what it counts.
import { createNativeServer } from '../dist/native/server.js';
import { FUZZ_METHODS } from '../dist/testing/fuzz-streams.js';

const drop = () => undefined;
const problems = [];
const logger = {
  info: drop,
  warn: drop,
  error: (fields, message) => problems.push(`${message}: ${fields.err?.stack ?? ''}`),
};
const server = createNativeServer({ logger, receiveBytesMax: 1024 * 1024, keepaliveMinTimeMs: 0 });
server.register(FUZZ_METHODS.unary, 'unary', (request) => request);
server.register(FUZZ_METHODS.guarded, 'unary', async (request) => request);
server.authorize('fuzz.v1.Guarded', async () => undefined);
server.register(FUZZ_METHODS.serverStream, 'server-stream', async (request, _call, sink) => {
  for (let at = 0; at < 3; at++) await sink.write(request);
});
server.register(FUZZ_METHODS.clientStream, 'client-stream', async (requests) => {
  let bytes = 0;
  for await (const request of requests) bytes += request.length;
  return Buffer.from(String(bytes));
});
server.register(FUZZ_METHODS.bidi, 'bidi', async (requests, _call, sink) => {
  for await (const request of requests) await sink.write(request);
});

const bound = await server.listen('http://127.0.0.1:0');
process.on('message', () => {
  const { activeCalls, connections } = server;
  process.send?.({
    activeCalls,
    connections,
    rss: process.memoryUsage().rss,
    problems: problems.splice(0),
  });
});
process.on('disconnect', () => process.exit(0));
process.send?.({ port: bound.port });
