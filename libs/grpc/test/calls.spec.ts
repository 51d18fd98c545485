/**
 * What surrounds the messages of a call: status, metadata, deadlines, cancellation, guards, observers.
 */
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { bearerAuth } from '../src/bearer-auth.js';
import { GrpcStatusError, status } from '../src/status.js';
import { type CallContext, type CallOutcome, type GrpcServer } from '../src/transport.js';
import { echo, echoClient, PATH, registerEcho, startServer, unary } from './echo-service.js';
import { answerOf, frame, openStream, rawCall, rawSession } from './raw-client.js';
import { createTestClient } from './transport-under-test.js';

const EMPTY = Buffer.alloc(0);

async function statusOf(run: () => Promise<unknown>): Promise<[number, string]> {
  try {
    await run();
  } catch (error) {
    if (error instanceof GrpcStatusError) {
      return [error.code, error.message];
    }
    throw error;
  }
  return [0, ''];
}

function withUnary(handler: (call: CallContext) => Buffer | Promise<Buffer>) {
  return (server: GrpcServer): void => {
    registerEcho(server);
    server.register('/test.v1.Other/Call', 'unary', (_request, call) => handler(call));
  };
}

const OTHER = '/test.v1.Other/Call';

describe('a method nobody answers', () => {
  it('is Unimplemented in the words of a Go server', async () => {
    const { url } = await startServer();
    const client = createTestClient(url);
    expect(await statusOf(() => client.unary('/regatta.v1.Tables/List', EMPTY))).toEqual([
      12,
      'unknown service regatta.v1.Tables',
    ]);
    expect(await statusOf(() => client.unary('/test.v1.Echo/Nope', EMPTY))).toEqual([
      12,
      'unknown method Nope for service test.v1.Echo',
    ]);
    client.close();
  });

  it('is refused by HTTP when the content is not gRPC', async () => {
    const { port } = await startServer();
    const answer = await rawCall(port, PATH.unary, { 'content-type': 'text/plain' }, EMPTY);
    expect(answer.headers[':status']).toBe('415');
  });
});

describe('an error of a handler', () => {
  it('reaches the client whole when it is meant for it', async () => {
    const details = Buffer.from([1, 2, 255]);
    const { url } = await startServer(
      {},
      undefined,
      undefined,
      withUnary(() => {
        throw new GrpcStatusError(status.NOT_FOUND, 'table nötig: 100 % not found\n', {
          'x-reason': ['a', 'b'],
          'x-details-bin': details,
        });
      }),
    );
    const client = createTestClient(url);
    const error: unknown = await client.unary(OTHER, EMPTY).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(GrpcStatusError);
    const { code, message, metadata } = error as GrpcStatusError;
    expect([code, message]).toEqual([5, 'table nötig: 100 % not found\n']);
    // HTTP allows to join them, and the client over grpc-js does.
    expect([metadata?.['x-reason']].flat().join(', ')).toBe('a, b');
    expect(metadata?.['x-details-bin']).toEqual([details]);
    client.close();
  });

  it('is logged, and hidden from the client, when it is not', async () => {
    const failing = [
      () => {
        throw new Error('secret path /etc/x');
      },
      () => Promise.reject(new Error('secret path /etc/x')),
    ];
    for (const handler of failing) {
      const { url, logger } = await startServer({}, undefined, undefined, withUnary(handler));
      const client = createTestClient(url);
      expect(await statusOf(() => client.unary(OTHER, EMPTY))).toEqual([13, 'internal error']);
      expect(logger.lines).toHaveLength(1);
      expect(logger.lines[0]).toMatchObject({ level: 'error', fields: { method: OTHER } });
      client.close();
    }
  });
});

describe('metadata', () => {
  it('goes both ways, text and bytes', async () => {
    const { url } = await startServer(
      {},
      undefined,
      undefined,
      withUnary((call) => {
        expect(call.metadata.get('X-Asked')).toBe('yes');
        expect(call.metadata.getAll('x-raw-bin')).toEqual([Buffer.from([0, 255])]);
        expect(call.metadata.get('grpc-timeout')).toBeUndefined();
        call.setHeader('x-early', 'head');
        call.setTrailer('x-late-bin', Buffer.from([7]));
        return EMPTY;
      }),
    );
    const client = createTestClient(url, { metadata: { 'x-asked': 'yes' } });
    const seen: Record<string, unknown> = {};
    await client.unary(OTHER, EMPTY, {
      deadlineMs: 5000,
      metadata: { 'x-raw-bin': Buffer.from([0, 255]) },
      onHeaders: (metadata) => (seen['early'] = metadata.get('x-early')),
      onTrailers: (metadata) => (seen['late'] = metadata.getAll('x-late-bin')),
    });
    expect(seen).toEqual({ early: 'head', late: [Buffer.from([7])] });
    client.close();
  });

  it('is refused where it is set, when it could not be sent', async () => {
    const { url, logger } = await startServer(
      {},
      undefined,
      undefined,
      withUnary((call) => {
        call.setHeader('x-ok', 'bad\nvalue');
        return EMPTY;
      }),
    );
    const client = createTestClient(url);
    expect(await statusOf(() => client.unary(OTHER, EMPTY))).toEqual([13, 'internal error']);
    expect(String(logger.lines[0]?.fields['err'])).toContain('not ASCII');
    client.close();
  });
});

describe('a deadline', () => {
  it('reaches the handler and ends the call on both sides', async () => {
    let aborted: unknown;
    let left = 0;
    const { server, url } = await startServer(
      {},
      undefined,
      undefined,
      withUnary(async (call) => {
        left = (call.deadline ?? 0) - Date.now();
        await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
        aborted = call.signal.reason;
        expect(call.cancelled).toBe(true);
        return EMPTY;
      }),
    );
    const client = createTestClient(url);
    const [code] = await statusOf(() => client.unary(OTHER, EMPTY, { deadlineMs: 1_500 }));
    expect(code).toBe(4);
    await expect.poll(() => aborted).toBeInstanceOf(GrpcStatusError);
    expect(left).toBeGreaterThan(20);
    expect(left).toBeLessThanOrEqual(1_501);
    await expect.poll(() => server.activeCalls).toBe(0);
    client.close();
  });

  it('is told by the server itself, to a client that does not count', async () => {
    const { port } = await startServer(
      {},
      undefined,
      undefined,
      withUnary(() => sleep(5000, EMPTY)),
    );
    const answer = await rawCall(port, OTHER, { 'grpc-timeout': '50m' }, frame(EMPTY));
    expect([answer.status, answer.message]).toEqual(['4', 'context deadline exceeded']);
  });

  it('may be years away, or not a deadline at all', async () => {
    let deadline: number | undefined;
    const { port } = await startServer(
      {},
      undefined,
      undefined,
      withUnary(async (call) => {
        deadline = call.deadline;
        await sleep(20);
        return EMPTY;
      }),
    );
    const far = await rawCall(port, OTHER, { 'grpc-timeout': '99999999H' }, frame(EMPTY));
    expect(far.status).toBe('0');
    expect(deadline).toBeGreaterThan(Date.now() + 1e14);
    const none = await rawCall(port, OTHER, {}, frame(EMPTY));
    expect([none.status, deadline]).toEqual(['0', undefined]);
    const wrong = await rawCall(port, OTHER, { 'grpc-timeout': 'soon' }, frame(EMPTY));
    expect([wrong.status, wrong.message]).toEqual(['13', 'malformed grpc-timeout: "soon"']);
  });
});

describe('cancellation', () => {
  it('reaches handlers that wait, read or write', async () => {
    const ends: string[] = [];
    const note = (name: string) => (error: unknown) => {
      ends.push(`${name} ${error instanceof GrpcStatusError ? error.code : String(error)}`);
      throw error;
    };
    const { server, port } = await startServer({}, undefined, undefined, (target) => {
      target.register('/t.S/Wait', 'unary', (_request, call) =>
        new Promise<Buffer>((_resolve, reject) => {
          call.signal.addEventListener('abort', () => reject(call.signal.reason as Error));
        }).catch(note('wait')),
      );
      target.register('/t.S/Read', 'client-stream', async (requests) => {
        try {
          for await (const request of requests) {
            expect(request.length).toBe(0);
          }
        } catch (error) {
          note('read')(error);
        }
        return EMPTY;
      });
      target.register('/t.S/Write', 'server-stream', async (_request, _call, sink) => {
        try {
          for (;;) {
            await sink.write(Buffer.alloc(10_000));
          }
        } catch (error) {
          note('write')(error);
        }
      });
    });
    const session = rawSession(port);
    const streams = ['/t.S/Wait', '/t.S/Read', '/t.S/Write'].map((path) =>
      openStream(session, path),
    );
    for (const stream of streams) {
      stream.write(frame(EMPTY));
    }
    streams[0]?.end();
    streams[2]?.end();
    await expect.poll(() => server.activeCalls).toBe(3);
    await sleep(50);
    for (const stream of streams) {
      stream.close(8);
    }
    await expect.poll(() => server.activeCalls).toBe(0);
    expect(ends.sort()).toEqual(['read 1', 'wait 1', 'write 1']);
  });

  it('is never taken for the end of the messages when a connection breaks', async () => {
    const ends: string[] = [];
    const { server, port } = await startServer({}, undefined, undefined, (target) => {
      target.register('/t.S/Read', 'client-stream', async (requests) => {
        try {
          for await (const request of requests) {
            await sleep(request.length > 0 ? 1 : 0);
          }
          ends.push('complete');
        } catch (error) {
          ends.push(error instanceof GrpcStatusError ? error.message : String(error));
        }
        return EMPTY;
      });
    });
    for (let round = 0; round < 10; round += 1) {
      const session = rawSession(port);
      const stream = openStream(session, '/t.S/Read');
      stream.write(frame(Buffer.alloc(100)));
      await expect.poll(() => server.activeCalls).toBe(1);
      await sleep(round % 3);
      session.destroy();
      await expect.poll(() => server.activeCalls).toBe(0);
    }
    expect(ends).toEqual(Array.from({ length: 10 }, () => 'context canceled'));
  });

  it('comes from the signal of our client, and from leaving its iteration', async () => {
    const { server, url } = await startServer({}, undefined, undefined, (target) => {
      target.register(PATH.expand, 'server-stream', async (_request, call, sink) => {
        while (!call.cancelled) {
          await sink.write(Buffer.from('x'));
          await sleep(1);
        }
      });
    });
    const client = createTestClient(url);
    for await (const message of client.serverStream(PATH.expand, EMPTY)) {
      expect(message.toString()).toBe('x');
      break;
    }
    await expect.poll(() => server.activeCalls).toBe(0);
    const abort = new AbortController();
    const [code] = await statusOf(async () => {
      for await (const message of client.serverStream(PATH.expand, EMPTY, {
        signal: abort.signal,
      })) {
        expect(message.toString()).toBe('x');
        abort.abort();
      }
    });
    expect(code).toBe(1);
    await expect.poll(() => server.activeCalls).toBe(0);
    client.close();
  });
});

describe('a guard', () => {
  it('asks for the token of its service and of no other, in the words of the contract', async () => {
    const { port } = await startServer({}, undefined, undefined, (server) => {
      registerEcho(server);
      server.register(OTHER, 'unary', (request) => request);
      server.authorize('test.v1.Echo', bearerAuth('s3cret'));
    });
    const client = echoClient(`127.0.0.1:${port}`);
    const call = (header?: string): Promise<[number, string]> =>
      new Promise((resolve) => {
        const metadata = new Metadata();
        if (header !== undefined) {
          metadata.set('authorization', header);
        }
        client.makeUnaryRequest(
          PATH.unary,
          (bytes: Buffer) => bytes,
          (bytes: Buffer) => bytes,
          EMPTY,
          metadata,
          (error: ServiceError | null) => resolve([error?.code ?? 0, error?.details ?? '']),
        );
      });
    const missing = 'Request unauthenticated with bearer';
    expect(await call()).toEqual([16, missing]);
    expect(await call('Basic s3cret')).toEqual([16, missing]);
    expect(await call('s3cret')).toEqual([16, 'Bad authorization string']);
    expect(await call('Bearer wrong')).toEqual([16, 'Invalid token']);
    expect(await call('Bearer s3cret')).toEqual([0, '']);
    expect(await call('bEaReR s3cret')).toEqual([0, '']);
    const other = await rawCall(port, OTHER, {}, frame(EMPTY));
    expect(other.status).toBe('0');
  });

  it('checks nothing when no token is configured, and may take its time', async () => {
    const { port } = await startServer({}, undefined, undefined, (server) => {
      server.authorize(PATH.unary, bearerAuth(''));
      server.authorize(PATH.unary, () => sleep(10));
      server.authorize(PATH.chat, async () => {
        await sleep(10);
        throw new GrpcStatusError(status.PERMISSION_DENIED, 'not you');
      });
      registerEcho(server);
    });
    expect((await rawCall(port, PATH.unary, {}, frame(EMPTY))).status).toBe('0');
    const denied = await rawCall(port, PATH.chat, {}, frame(EMPTY));
    expect([denied.status, denied.message]).toEqual(['7', 'not you']);
  });
});

describe('an observer', () => {
  it('is told of each call once, with its code, messages and time', async () => {
    const outcomes: (CallOutcome & { path: string })[] = [];
    const { port, logger } = await startServer({}, undefined, undefined, (server) => {
      registerEcho(server);
      server.register(OTHER, 'unary', () => {
        throw new Error('broken');
      });
      server.observe({
        onCall:
          ({ path }) =>
          (outcome) =>
            outcomes.push({ ...outcome, path }),
      });
      server.observe({
        onCall: () => {
          throw new Error('a bad observer');
        },
      });
    });
    const client = echoClient(`127.0.0.1:${port}`);
    await unary(client, { payload: Buffer.from('a') });
    const replies = client.expand({ payload: EMPTY, count: 3 });
    await replies.toArray();
    await rawCall(port, OTHER, {}, frame(EMPTY));
    expect(
      outcomes.map(({ path, code, messagesIn, messagesOut }) => [
        path,
        code,
        messagesIn,
        messagesOut,
      ]),
    ).toEqual([
      [PATH.unary, 0, 1, 1],
      [PATH.expand, 0, 1, 3],
      [OTHER, 13, 1, 0],
    ]);
    expect(outcomes.every(({ durationMs }) => durationMs >= 0 && durationMs < 5000)).toBe(true);
    expect(String(outcomes[2]?.cause)).toContain('broken');
    expect(logger.lines.filter(({ message }) => message === 'a call observer failed')).toHaveLength(
      3,
    );
  });
});

describe('a request that is not what its method takes', () => {
  it('has one message on a unary call, not none and not two', async () => {
    const { port } = await startServer();
    const none = await rawCall(port, PATH.unary, {}, EMPTY);
    expect(none.status).toBe('13');
    const two = await rawCall(
      port,
      PATH.unary,
      {},
      Buffer.concat([frame(Buffer.from('a')), frame(Buffer.from('b'))]),
    );
    expect(two.status).toBe('13');
  });

  it('may come in pieces of any size', async () => {
    const { port } = await startServer();
    const stream = openStream(rawSession(port), PATH.unary);
    const answer = answerOf(stream);
    const body = frame(echo.Unary.requestSerialize({ payload: Buffer.from('in pieces') }));
    for (const byte of body) {
      stream.write(Buffer.from([byte]));
      await sleep(1);
    }
    stream.end();
    expect((await answer).messages[0]?.bytes.equals(body.subarray(5))).toBe(true);
  });
});
