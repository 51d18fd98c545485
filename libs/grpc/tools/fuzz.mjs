// Sends damaged streams of bytes to a live server and watches it:
//
//     npm run fuzz:grpc -- [--streams 1000000] [--seed 1] [--only N] [--at-once 32] [--seconds S]
//
// Each stream is a connection of its own. Beside them a connection of node:http2 makes calls, one after
// the other, and each has to be answered in time. The server may not end, nor log an error of its own, nor
// grow, and when all is over it has no call and no connection left. `--only N` sends one stream again;
// `--seconds` ends the run earlier.
import { fork } from 'node:child_process';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { FUZZ_METHODS, fuzzStream } from '../dist/testing/fuzz-streams.js';

const RSS_BYTES_MAX = 400 * 1024 * 1024;
const CALL_MS_MAX = 20_000;
const STREAM_MS_MAX = 30_000;
const LEFT_MS_MAX = 30_000;

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    'at-once': { type: 'string', default: '32' },
    seconds: { type: 'string', default: 'Infinity' },
  },
});
const seed = Number(values.seed);
const first = values.only === undefined ? 0 : Number(values.only);
const end = values.only === undefined ? Number(values.streams) : first + 1;
const current = new Set();

function fail(why) {
  console.error(`FAILED: ${why}`);
  console.error(`seed ${seed}, streams under way: ${[...current].join(' ')}`);
  server.kill('SIGKILL');
  process.exit(1);
}

const server = fork(fileURLToPath(new URL('fuzz-server.mjs', import.meta.url)), [], {
  execArgv: ['--max-old-space-size=128'],
});
let isOver = false;
server.on('exit', (code, signal) => isOver || fail(`the server ended: ${code ?? signal}`));
const { port } = await message();
const startRss = (await state()).rss;
let rssMax = startRss;
let calls = 0;

const canary = watch();
const startedMs = performance.now();
let next = first;
let sent = 0;
await Promise.all(Array.from({ length: Number(values['at-once']) }, worker));
const seconds = (performance.now() - startedMs) / 1000;
await nothingLeft();
isOver = true;
await canary;
const mib = (bytes) => `${Math.round(bytes / 1024 / 1024)} MiB`;
console.log(
  `seed ${seed}: ${sent} streams in ${seconds.toFixed(0)} s, ${calls} calls beside them, ` +
    `resident ${mib(startRss)} at first, ${mib(rssMax)} at most, nothing left open`,
);
server.kill();

async function worker() {
  const untilMs = startedMs + Number(values.seconds) * 1000;
  for (let number = next++; number < end && performance.now() < untilMs; number = next++) {
    sent += 1;
    current.add(number);
    await sendOne(number);
    current.delete(number);
    if (number % 20_000 === 19_999) console.log(`${number + 1} streams, ${mibNow()}`);
  }
}

function mibNow() {
  return `at most ${Math.round(rssMax / 1024 / 1024)} MiB, ${calls} calls`;
}

function sendOne(number) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const timer = setTimeout(() => fail(`stream ${number} was not ended`), STREAM_MS_MAX);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
    socket.once('connect', async () => {
      for (const piece of fuzzStream(seed, number)) {
        socket.write(piece);
        await turn();
      }
      // Some wait for an answer, most end at once, some are cut.
      if (number % 16 === 0) await sleep(10);
      if (number % 16 === 1) socket.resetAndDestroy();
      else socket.end();
    });
  });
}

function message() {
  return new Promise((resolve) => server.once('message', resolve));
}

function state() {
  const answer = message();
  server.send('state');
  return answer;
}

/** Calls on a connection that nobody disturbs, and a look at the server after each. */
async function watch() {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on('error', (error) => fail(`the connection beside failed: ${error.message}`));
  session.on('goaway', (code) => isOver || fail(`the connection beside was ended: ${code}`));
  while (!isOver) {
    const text = `call ${calls}`;
    const answer = await Promise.race([call(session, text), sleep(CALL_MS_MAX, 'none in time')]);
    if (answer !== `${text} 0`) fail(`a call beside was answered with ${answer}`);
    calls += 1;
    const { rss, problems } = await Promise.race([state(), sleep(CALL_MS_MAX, {})]);
    if (rss === undefined) fail('the server hangs');
    if (problems.length > 0) fail(`the server logged: ${problems.join('\n')}`);
    rssMax = Math.max(rssMax, rss);
    if (rss > RSS_BYTES_MAX) fail(`the server has grown to ${rss} bytes`);
    await sleep(20);
  }
  session.destroy();
}

function call(session, text) {
  return new Promise((resolve) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(text.length, 1);
    const stream = session.request({
      ':method': 'POST',
      ':path': FUZZ_METHODS.unary,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks = [];
    let status = 'none';
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('trailers', (trailers) => (status = trailers['grpc-status']));
    stream.on('error', (error) => resolve(error.message));
    stream.on('close', () => resolve(`${Buffer.concat(chunks).subarray(5)} ${status}`));
    stream.end(Buffer.concat([head, Buffer.from(text)]));
  });
}

async function nothingLeft() {
  const until = Date.now() + LEFT_MS_MAX;
  for (;;) {
    const { activeCalls, connections } = await state();
    // The one beside may be in a call.
    if (activeCalls <= 1 && connections <= 1) return;
    if (Date.now() > until) fail(`${activeCalls} calls and ${connections} connections are left`);
    await sleep(100);
  }
}
