import { createGrpcJsServer, GrpcStatusError, status, type GrpcServer } from '@flotilla/grpc';
import { regattaV1 as v1 } from '@flotilla/proto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientError } from './client-error.js';
import { FlotillaClient } from './flotilla-client.js';

const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined };

describe('the client', () => {
  let server: GrpcServer;
  let url: string;
  let client: FlotillaClient;
  const puts: v1.PutRequest[] = [];
  let failures: GrpcStatusError[] = [];
  let calls = 0;
  let authorization: string | undefined;

  function failNext(): void {
    calls++;
    const failure = failures.shift();
    if (failure) throw failure;
  }

  beforeEach(async () => {
    puts.length = 0;
    failures = [];
    calls = 0;
    server = createGrpcJsServer({ logger: quiet });
    server.register('/regatta.v1.KV/Put', 'unary', (bytes, call) => {
      failNext();
      authorization = call.metadata.get('authorization');
      puts.push(v1.PutRequest.decode(bytes));
      return v1.PutResponse.encode(
        v1.PutResponse.fromPartial({ header: { revision: 9n } }),
      ).finish();
    });
    server.register('/regatta.v1.KV/Range', 'unary', () => {
      failNext();
      const kvs = [{ key: Buffer.from('k'), value: Buffer.from([0, 255]), modRevision: 7n }];
      const answer = v1.RangeResponse.fromPartial({ kvs, more: true, count: 1n });
      return v1.RangeResponse.encode(answer).finish();
    });
    server.register('/regatta.v1.KV/IterateRange', 'server-stream', async (_bytes, _call, sink) => {
      for (const key of ['a', 'b']) {
        const answer = v1.RangeResponse.fromPartial({ kvs: [{ key: Buffer.from(key) }] });
        await sink.write(v1.RangeResponse.encode(answer).finish());
      }
    });
    url = (await server.listen('http://127.0.0.1:0')).url;
    client = new FlotillaClient({ endpoints: [url], token: 'secret' });
  });
  afterEach(async () => {
    client.close();
    await server.close({ graceMs: 0 });
  });

  it('keys and values of any bytes arrive as they were given, and numbers come back as numbers', async () => {
    const value = Buffer.from([0, 1, 255]);
    const { header } = await client.put({ table: 't', key: 'ключ', value });
    expect(header.revision).toBe(9);
    expect(puts[0]?.key.toString()).toBe('ключ');
    expect(puts[0]?.value).toEqual(value);
    expect(authorization).toBe('Bearer secret');
    const { kvs, more, count } = await client.range({ table: 't', key: 'k' });
    expect([kvs[0]?.value, kvs[0]?.modRevision, more, count]).toEqual([
      Buffer.from([0, 255]),
      7,
      true,
      1,
    ]);
  });

  it('pages of a range arrive one after the other', async () => {
    const keys: string[] = [];
    for await (const { kvs } of client.iterateRange({ table: 't', key: 'a', rangeEnd: '\0' })) {
      keys.push(...kvs.map(({ key }) => key.toString()));
    }
    expect(keys).toEqual(['a', 'b']);
  });

  it('a read is tried again while a node is unavailable', async () => {
    failures = [1, 2].map(() => new GrpcStatusError(status.UNAVAILABLE, 'busy'));
    await client.range({ table: 't', key: 'k' });
    expect(calls).toBe(3);
  });

  it('a write that may have happened is never sent twice', async () => {
    failures = [new GrpcStatusError(status.UNAVAILABLE, 'timeout')];
    const error = await client.put({ table: 't', key: 'k', value: 'v' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', message: 'timeout', retryable: true });
    expect(calls).toBe(1);
  });

  it('a refusal keeps its code and text, and is not tried again', async () => {
    failures = [new GrpcStatusError(status.NOT_FOUND, 'table not found')];
    const refused = client.range({ table: 't', key: 'k' });
    await expect(refused).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'table not found' });
    expect(calls).toBe(1);
  });

  it('the next endpoint is asked when one cannot be reached, for writes too', async () => {
    const nobody = 'http://127.0.0.1:1';
    const both = new FlotillaClient({ endpoints: [nobody, url], timeoutMs: 10_000 });
    await both.put({ table: 't', key: 'k', value: 'v' });
    expect(puts).toHaveLength(1);
    both.close();
  });

  it('a call ends at its deadline when nobody answers', async () => {
    const alone = new FlotillaClient({ endpoints: ['http://127.0.0.1:1'], timeoutMs: 300 });
    const startedMs = performance.now();
    const call = alone.put({ table: 't', key: 'k', value: 'v' });
    await expect(call).rejects.toBeInstanceOf(ClientError);
    expect(performance.now() - startedMs).toBeLessThan(20_000);
    alone.close();
  });

  it('a call of a closed client says so, and that nothing was done', async () => {
    const ended = new FlotillaClient({ endpoints: [url] });
    await ended.put({ table: 't', key: 'k', value: 'v' });
    ended.close();
    const call = ended.put({ table: 't', key: 'k', value: 'v' });
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED', notExecuted: true });
    expect(puts).toHaveLength(1);
  });
});
