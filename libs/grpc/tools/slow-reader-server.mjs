// The server of `slow-reader.mjs`: as many messages of 64 KiB as the request says.
import { createNativeServer } from '../dist/native/server.js';

const drop = () => undefined;
const server = createNativeServer({ logger: { info: drop, warn: drop, error: console.error } });
server.register('/slow.v1.Slow/Read', 'server-stream', async (request, _call, sink) => {
  for (let left = request.readUInt32BE(0); left > 0; left--) {
    const waits = sink.write(Buffer.alloc(64 * 1024, left % 256));
    if (waits !== undefined) await waits;
  }
});
const bound = await server.listen('http://127.0.0.1:0');
process.on('message', () => process.send?.({ rss: process.memoryUsage().rss }));
process.on('disconnect', () => process.exit(0));
process.send?.({ port: bound.port });
