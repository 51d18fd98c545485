/**
 * The four kinds of call over real sockets, by a client that knows nothing of this library.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Message } from './echo-service.js';
import { echoClient, PATH, startServer, temporaryFolder, unary } from './echo-service.js';
import { createTestClient } from './transport-under-test.js';

async function everyKind(target: string): Promise<void> {
  const client = echoClient(target);
  const payload = Buffer.from('bytes \0 and more');
  expect((await unary(client, { payload })).payload.equals(payload)).toBe(true);
  expect((await unary(client, {})).payload.length).toBe(0);

  const numbers: (number | undefined)[] = [];
  for await (const reply of client.expand({ payload, count: 5 }) as AsyncIterable<Message>) {
    numbers.push(reply.number);
  }
  expect(numbers).toEqual([0, 1, 2, 3, 4]);

  const collected = await new Promise<Message>((resolve, reject) => {
    const call = client.collect((error, reply) =>
      error === null ? resolve(reply) : reject(error),
    );
    for (const part of ['a', 'b', 'c']) {
      call.write({ payload: Buffer.from(part) });
    }
    call.end();
  });
  expect([collected.payload.toString(), collected.number]).toEqual(['abc', 3]);

  const chat = client.chat();
  const said: string[] = [];
  const over = new Promise<void>((resolve) => chat.on('end', resolve));
  chat.on('data', (reply: Message) => {
    said.push(reply.payload.toString());
    if (said.length === 3) {
      chat.end();
    } else {
      chat.write({ payload: Buffer.from(`${said.length}`) });
    }
  });
  chat.write({ payload: Buffer.from('0') });
  await over;
  expect(said).toEqual(['0', '1', '2']);
}

describe('the four kinds of call', () => {
  it('answer over TCP', async () => {
    const { port } = await startServer();
    await everyKind(`127.0.0.1:${port}`);
  });

  it('answer over a unix socket', async () => {
    const path = join(temporaryFolder(), 's.sock');
    const { url } = await startServer({}, `unix://${path}`);
    expect(url).toBe(`unix://${path}`);
    await everyKind(`unix:${path}`);
  });

  it('answer the client of this library', async () => {
    const { url } = await startServer();
    const client = createTestClient(url);
    const bytes = Buffer.from([0, 1, 2, 3]);
    expect(await client.unary(PATH.unary, bytes)).toEqual(bytes);
    const seen: Buffer[] = [];
    for await (const message of client.bidi(PATH.chat, [bytes, bytes])) {
      seen.push(message);
    }
    expect(seen).toEqual([bytes, bytes]);
    client.close();
  });

  it('carry messages of megabytes both ways', async () => {
    const { port } = await startServer();
    const client = echoClient(`127.0.0.1:${port}`);
    const payload = Buffer.alloc(4 * 1024 * 1024 - 100, 'x');
    expect((await unary(client, { payload })).payload.equals(payload)).toBe(true);
  });
});
