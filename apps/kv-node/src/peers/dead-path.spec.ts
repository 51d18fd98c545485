import { freePort } from '@flotilla/grpc/testing';
/**
 * Two networks whose path to each other dies without a word: no end, no reset, nothing arrives.
 */
import { describe, expect, it, vi, type TestContext } from 'vitest';
import { DeadPath, type Direction } from './testing/dead-path.js';
import { introduce, NEVER_SILENT, TestNode, type TestNodeOptions } from './testing/test-node.js';

/** A dead connection is believed for 2.5 s, TCP would for minutes; the rest is for a busy machine. */
const GIVEN_UP_MS = 20_000;
/** How long it may take after that until traffic flows again over a path that is well. */
const FLOWS_MS = 10_000;
const WAIT = { timeout: GIVEN_UP_MS + FLOWS_MS, interval: 10 };

interface Pair {
  readonly a: TestNode;
  readonly b: TestNode;
  /** The way from a to b; the one from b to a is not touched. */
  readonly path: DeadPath;
}

/** Tests run at once: each cleans up by its own hook. */
async function pair({ onTestFinished }: TestContext, options: TestNodeOptions = {}): Promise<Pair> {
  const [a, b] = [
    new TestNode(1, await freePort(), {}, options),
    new TestNode(2, await freePort(), {}, options),
  ];
  introduce(a, b);
  const path = await DeadPath.before(b.port);
  const rest = { identity: '', removed: false, joining: false };
  a.known.set(2, { address: `127.0.0.1:${path.port}`, ...rest });
  onTestFinished(async () => {
    await Promise.all([a.close(), b.close()]);
    path.close();
  });
  await Promise.all([a.start(), b.start()]);
  await vi.waitFor(() => {
    expect(a.network.isAlive(2)).toBe(true);
    expect(b.network.isAlive(1)).toBe(true);
  }, WAIT);
  return { a, b, path };
}

/** Sends until something arrives that was sent from now on; gives how long that took. */
async function flows({ a, b }: Pair): Promise<number> {
  const startedMs = performance.now();
  const before = b.messages.length;
  await vi.waitFor(() => {
    a.send(2);
    expect(b.messages.length).toBeGreaterThan(before);
  }, WAIT);
  return performance.now() - startedMs;
}

const DEATHS: [string, Direction[]][] = [
  ['towards a node', ['there']],
  ['back from a node', ['back']],
  ['both ways', ['there', 'back']],
];

describe.concurrent('a path that is dead without a word', () => {
  it.for(DEATHS)(
    '%s ends the connection at both ends, and is used again once it is well',
    async ([, directions], context) => {
      const both = await pair(context);
      const { a, b, path } = both;
      await flows(both);
      const { reconnects } = a.network.counters;
      path.die(...directions);
      const diedMs = performance.now();
      await vi.waitFor(() => {
        expect(a.send(2)).toBe(false);
        expect(b.server.isOpenFrom(1)).toBe(false);
      }, WAIT);
      expect(performance.now() - diedMs).toBeLessThan(GIVEN_UP_MS);
      expect(a.network.counters.reconnects).toBe(reconnects);

      path.heal();
      expect(await flows(both)).toBeLessThan(FLOWS_MS);
      expect(a.network.counters.reconnects).toBe(reconnects + 1);
      expect(b.network.isAlive(1)).toBe(true);
    },
  );

  it.for(DEATHS)(
    '%s is tried again and again, and nothing piles up',
    async ([, directions], context) => {
      const both = await pair(context);
      const { path } = both;
      const { accepted } = path;
      path.die(...directions);
      await vi.waitFor(() => expect(path.accepted - accepted).toBeGreaterThanOrEqual(4), WAIT);
      // The attempt of now, and those that the node has not yet given up.
      expect(path.openSockets).toBeLessThanOrEqual(6);
      path.heal();
      expect(await flows(both)).toBeLessThan(FLOWS_MS);
      await vi.waitFor(() => expect(path.openSockets).toBe(2), WAIT);
    },
  );

  it('and is well again before anybody noticed carries traffic soon', async (context) => {
    const both = await pair(context);
    both.path.die('there', 'back');
    // A heartbeat every 200 ms, a ping every 500: something vanishes.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    both.path.heal();
    expect(await flows(both)).toBeLessThan(GIVEN_UP_MS);
    const { reconnects } = both.a.network.counters;
    await flows(both);
    expect(both.a.network.counters.reconnects).toBe(reconnects);
  });
});

describe('a path that is well', () => {
  it('keeps its connection, also while nothing is said', async (context) => {
    const both = await pair(context, NEVER_SILENT);
    const { a, b, path } = both;
    const counters = { ...a.network.counters };
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect(path.accepted).toBe(1);
    expect(a.network.counters.reconnects).toBe(counters.reconnects);
    expect([a.events, b.events]).toEqual([['up 2'], ['up 1']]);
  });
});
