import { once } from 'node:events';
import { createServer, type Http2Server } from 'node:http2';
import { type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { status } from '../status.js';
import { createGrpcClient } from '../create-client.js';

let server: Http2Server;
afterEach(() => server.close());

describe('a call whose connection ends under it', () => {
  it('failed because nobody was there to answer: unavailable, not internal', async () => {
    server = createServer();
    server.on('stream', (stream) => stream.close(0));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = createGrpcClient(`http://127.0.0.1:${port}`);
    try {
      const call = client.unary('/a.B/C', Buffer.alloc(0), { deadlineMs: 5_000 });
      await expect(call).rejects.toMatchObject({ code: status.UNAVAILABLE });
    } finally {
      client.close();
    }
  });
});
