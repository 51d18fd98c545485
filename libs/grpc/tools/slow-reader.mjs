// A stream of 1 GB to a reader that is slower than its writer, and one to a reader that stops half-way:
//
//     npm run slow-reader:grpc [-- --bytes 1000000000]
//
// The server is a process of its own; its resident memory may grow by less than 16 MiB. Before the
// measurement the same stream runs once, read at full speed: what a warm process has, it has.
import { fork } from 'node:child_process';
import { connect } from 'node:http2';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';

const GROWTH_BYTES_MAX = 16 * 1024 * 1024;
const MESSAGE_BYTES = 64 * 1024;
const READS_PER_PAUSE = 256;
const STOP_MS = 3000;

const { values } = parseArgs({ options: { bytes: { type: 'string', default: '1000000000' } } });
const bytesWanted = Number(values.bytes);
const server = fork(fileURLToPath(new URL('slow-reader-server.mjs', import.meta.url)));
const message = () => new Promise((resolve) => server.once('message', resolve));
const { port } = await message();
const rss = async () => {
  server.send('state');
  return (await message()).rss;
};

await read('at full speed', bytesWanted / 5, async () => undefined);
await read('slowly', bytesWanted, async () => sleep(1));
await read('and stops', bytesWanted, (received) =>
  received > bytesWanted / 20 ? 'stop' : undefined,
);
server.kill();

async function read(title, bytes, pause) {
  const session = connect(`http://127.0.0.1:${port}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/slow.v1.Slow/Read',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const head = Buffer.alloc(9);
  head.writeUInt32BE(4, 1);
  head.writeUInt32BE(Math.ceil(bytes / MESSAGE_BYTES), 5);
  stream.end(head);
  const before = await rss();
  let most = before;
  let received = 0;
  let reads = 0;
  const chunks = stream[Symbol.asyncIterator]();
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
    const chunk = next.value;
    received += chunk.length;
    reads += 1;
    if (reads % READS_PER_PAUSE !== 0) continue;
    most = Math.max(most, await rss());
    if ((await pause(received)) === 'stop') break;
  }
  await sleep(title === 'and stops' ? STOP_MS : 0);
  most = Math.max(most, await rss());
  session.destroy();
  const grown = most - before;
  const mib = (count) => `${(count / 1024 / 1024).toFixed(1)} MiB`;
  console.log(
    `${title}: ${mib(received)} read, the server grew by ${mib(grown)} from ${mib(before)}`,
  );
  if (title !== 'at full speed' && grown >= GROWTH_BYTES_MAX) {
    console.error('FAILED: that is too much');
    server.kill();
    process.exit(1);
  }
}
