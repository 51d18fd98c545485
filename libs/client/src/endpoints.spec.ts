import { GrpcStatusError, status } from '@flotilla/grpc';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeNode, FakeSocket, startFailingLate } from '../test/fake-node.js';
import { ClientError } from './client-error.js';
import { SIGN_OF_LIFE_MS } from './endpoint.js';
import { FlotillaClient } from './flotilla-client.js';

const NOBODY = 'http://127.0.0.1:1';
/** What may pass during a call to a node that is there; see `timed`. */
const AT_ONCE_MS = 500;
const TICK_MS = 10;
const PUT = { table: 't', key: 'k', value: 'v' };
const RANGE = { table: 't', key: 'k', rangeEnd: '\0' };

function unavailable(text: string, trailers?: Record<string, string>): () => never {
  return () => {
    throw new GrpcStatusError(status.UNAVAILABLE, text, trailers);
  };
}

describe('a client with several endpoints', () => {
  let a: FakeNode;
  let b: FakeNode;
  let [urlA, urlB] = ['', ''];
  const open: { kill?(): Promise<void>; close?(): void }[] = [];

  beforeEach(async () => {
    [a, urlA] = await FakeNode.start('a');
    [b, urlB] = await FakeNode.start('b');
    open.push(a, b);
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    for (const each of open.splice(0).reverse()) {
      each.close?.();
      await each.kill?.();
    }
  });

  function connect(endpoints: readonly string[], timeoutMs = 10_000): FlotillaClient {
    const client = new FlotillaClient({ endpoints, timeoutMs });
    open.push(client);
    return client;
  }

  async function opened<T extends { kill(): Promise<void> }>(
    starting: Promise<[T, string]>,
  ): Promise<[T, string]> {
    const [node, url] = await starting;
    open.push(node);
    return [node, url];
  }

  /**
   * How long something waits, in ticks of this process: while a busy machine runs others there are
   * none, so that what counts is what the client waits for and not when its turn comes.
   */
  async function timed(run: () => Promise<unknown>): Promise<number> {
    let ticks = 0;
    const ticker = setInterval(() => ticks++, TICK_MS);
    try {
      await run();
    } finally {
      clearInterval(ticker);
    }
    return ticks * TICK_MS;
  }

  const putMany = (client: FlotillaClient, count: number) => () =>
    Promise.all(Array.from({ length: count }, () => client.put(PUT)));

  const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((e: unknown) => e);

  it('asks a node for a sign of life once, not for every call, and asks no other one', async () => {
    const client = connect([urlA, urlB]);
    for (let burst = 0; burst < 3; burst++) await putMany(client, 16)();
    expect([a.asked, b.asked, a.puts]).toEqual([1, 0, 48]);
  });

  it('asks nothing where there is no other node to go to', async () => {
    await putMany(connect([urlA]), 4)();
    expect([a.asked, a.puts]).toEqual([0, 4]);
  });

  it('calls that fail together move on one node, not one each', async () => {
    const client = connect([urlA, urlB]);
    await client.range(RANGE);
    a.conducts.push(unavailable('busy'), unavailable('busy'));
    await Promise.all([client.range(RANGE), client.range(RANGE)]);
    expect([a.ranges, b.ranges]).toEqual([3, 2]);
  });

  describe('of which one is dead', () => {
    it.each([2, 4, 16])('a burst of %i calls moves on together, each made once', async (count) => {
      const client = connect([NOBODY, urlB]);
      expect(await timed(putMany(client, count))).toBeLessThan(AT_ONCE_MS);
      expect(b.puts).toBe(count);
    });

    it('one that hangs up is not connected to for every burst', async () => {
      const [dead, url] = await opened(FakeSocket.hangingUp());
      const client = connect([url, urlB]);
      const bursts = 40;
      for (let burst = 0; burst < bursts; burst++) await putMany(client, 4)();
      expect(b.puts).toBe(bursts * 4);
      // The channel looks again by itself, ever more seldom.
      expect(dead.connections).toBeLessThan(bursts / 4);
    });

    it('one that is silent costs one short wait for a whole burst, and later calls nothing', async () => {
      const [silent, url] = await opened(FakeSocket.silent());
      const client = connect([url, urlB]);
      const startedMs = performance.now();
      const firstMs = await timed(putMany(client, 8));
      expect(performance.now() - startedMs).toBeGreaterThan(SIGN_OF_LIFE_MS / 2);
      expect(firstMs).toBeLessThan(SIGN_OF_LIFE_MS + AT_ONCE_MS);
      expect(await timed(putMany(client, 8))).toBeLessThan(AT_ONCE_MS);
      expect([b.puts, silent.connections]).toEqual([16, 1]);
    });

    it('a silent one is not gone back to while another one says that it is busy', async () => {
      const [, url] = await opened(FakeSocket.silent());
      const client = connect([url, urlB]);
      await client.put(PUT);
      b.conducts.push(unavailable('busy'), unavailable('busy'));
      expect(await timed(() => client.range(RANGE))).toBeLessThan(AT_ONCE_MS);
      expect(b.ranges).toBe(3);
    });

    it('a call does not wait for a silent one longer than it has time itself', async () => {
      const [, url] = await opened(FakeSocket.silent());
      const client = connect([url, url], 150);
      let error: unknown;
      const tookMs = await timed(async () => (error = await failure(client.put(PUT))));
      expect(tookMs).toBeLessThan(AT_ONCE_MS);
      expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED', notExecuted: true });
    });

    it('a short call that gives up does not shorten the wait of the others', async () => {
      const [, url] = await opened(FakeSocket.silent());
      const client = connect([url, urlB]);
      const short = failure(client.put(PUT, { timeoutMs: 50 }));
      await client.put(PUT);
      expect(await short).toBeInstanceOf(ClientError);
      expect(b.puts).toBe(1);
    });
  });

  it('a node that vanished while nobody called gets no write, and costs one short wait', async () => {
    const [wire, url] = await opened(FakeSocket.before(urlA));
    const client = connect([url, urlB]);
    await client.put(PUT);
    wire.freeze();
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 60_000);
    const tookMs = await timed(putMany(client, 4));
    expect(tookMs).toBeLessThan(SIGN_OF_LIFE_MS + AT_ONCE_MS);
    expect([a.puts, b.puts]).toEqual([1, 4]);
  });

  it('when all are dead the error names one, says why, and that nothing was done', async () => {
    const client = connect([NOBODY, NOBODY], 200);
    const error = await failure(client.put(PUT));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true, notExecuted: true });
    expect((error as Error).message).toMatch(/^http:\/\/127\.0\.0\.1:1 does not answer: .*REFUSED/);
  });

  it('a node that comes back is found again when the other one goes', async () => {
    const client = connect([urlA, urlB]);
    await client.put(PUT);
    b.conducts.push(unavailable('busy', { 'flotilla-not-executed': '1' }));
    a.conducts.push(unavailable('busy', { 'flotilla-not-executed': '1' }));
    await client.put(PUT);
    await a.kill();
    await client.put(PUT);
    expect([a.puts, b.puts]).toEqual([3, 2]);
  });

  describe('a write', () => {
    it('is made on another node when the server says that it was not executed', async () => {
      a.conducts.push(unavailable('not ready', { 'flotilla-not-executed': '1' }));
      await connect([urlA, urlB]).put(PUT);
      expect([a.puts, b.puts]).toEqual([1, 1]);
    });

    it.each([
      ['another value', { 'flotilla-not-executed': '0' }],
      ['another trailer', { 'not-executed': '1' }],
    ])('is not sent again when the server says that with %s', async (_what, trailers) => {
      a.conducts.push(unavailable('timeout', trailers));
      const error = await failure(connect([urlA, urlB]).put(PUT));
      expect(error).toMatchObject({ code: 'UNAVAILABLE', notExecuted: false });
      expect([a.puts, b.puts]).toEqual([1, 0]);
    });

    it('is not sent again for a code other than Unavailable, executed or not', async () => {
      const trailers = { 'flotilla-not-executed': '1' };
      a.conducts.push(() => {
        throw new GrpcStatusError(status.FAILED_PRECONDITION, 'too large', trailers);
      });
      const error = await failure(connect([urlA, urlB]).put(PUT));
      expect(error).toMatchObject({ code: 'FAILED_PRECONDITION', notExecuted: true });
      expect([a.puts, b.puts]).toEqual([1, 0]);
    });

    it.each([
      'upstream: connect ECONNREFUSED 10.0.0.9:5012',
      'No connection established. Last error: connect ECONNREFUSED 10.0.0.9:5012',
      'Name resolution failed for target dns:node-9',
    ])('is not sent again because a server speaks of a lost connection: %s', async (text) => {
      a.conducts.push(unavailable(text));
      const error = await failure(connect([urlA, urlB]).put(PUT));
      expect(error).toMatchObject({ code: 'UNAVAILABLE', message: text, notExecuted: false });
      expect([a.puts, b.puts]).toEqual([1, 0]);
    });

    it('is not sent again when a server had begun its answer, whatever that says', async () => {
      const late = await startFailingLate('No connection established');
      open.push(late);
      const error = await failure(connect([late.url]).put(PUT));
      expect(error).toMatchObject({ code: 'UNAVAILABLE', notExecuted: false });
      expect(late.seen).toHaveLength(1);
    });

    it('is not sent again when the connection breaks under it, but the next one goes elsewhere', async () => {
      const client = connect([urlA, urlB]);
      a.conducts.push(() => a.kill());
      const error = await failure(client.put(PUT));
      expect(error).toMatchObject({ code: 'UNAVAILABLE', notExecuted: false });
      expect([a.puts, b.puts]).toEqual([1, 0]);
      expect(await timed(() => client.put(PUT))).toBeLessThan(AT_ONCE_MS);
      expect([a.puts, b.puts]).toEqual([1, 1]);
    });

    it('is not sent again when a node falls silent under it, and only that one waits', async () => {
      const client = connect([urlA, urlB]);
      await client.range(RANGE);
      a.conducts.push(
        ({ signal }) => new Promise((done) => signal.addEventListener('abort', () => done())),
      );
      const error = await failure(client.put(PUT, { timeoutMs: 3_000 }));
      expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED', notExecuted: false });
      expect(await timed(() => client.put(PUT))).toBeLessThan(AT_ONCE_MS);
      expect([a.puts, b.puts]).toEqual([1, 1]);
    });
  });

  describe('a stream of pages', () => {
    const keys = async (client: FlotillaClient) => {
      const found: string[] = [];
      for await (const { kvs } of client.iterateRange(RANGE)) {
        found.push(...kvs.map(({ key }) => key.toString()));
      }
      return found;
    };

    it('comes from the next node when one cannot be reached', async () => {
      expect(await keys(connect([NOBODY, urlB]))).toEqual(['b', 'b']);
    });

    it('is begun again after Unavailable, until the first page', async () => {
      const client = connect([urlA, urlB]);
      await client.range(RANGE);
      await a.kill();
      expect(await keys(client)).toEqual(['b', 'b']);
    });

    it('ends when it breaks after the first page: another node would begin at another moment', async () => {
      a.conducts.push(unavailable('the table moved'));
      const error = await failure(keys(connect([urlA, urlB])));
      expect(error).toMatchObject({ code: 'UNAVAILABLE', message: 'the table moved' });
      expect([a.streams, b.streams]).toEqual([1, 0]);
    });
  });
});
