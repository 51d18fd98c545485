/**
 * Which tables there are, as nodes tell it that come and go.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { SILENT_LOGGER } from '@flotilla/platform';
import { feedV1 } from '@flotilla/proto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { A, B, type Conduct, FakeNodes } from '../../test/support/fake-nodes.js';
import { STALE_MS, TableDirectory, WATCH_TABLES } from './table-directory.js';

/** Time enough for a busy machine; it comes within moments. */
const WAIT = { timeout: 20_000, interval: 1 };

function change(fields: Partial<feedV1.TablesChange>): Uint8Array {
  return feedV1.TablesChange.encode(feedV1.TablesChange.fromPartial(fields)).finish();
}

function table(id: number, name: string, replicas: number[] = [1]): feedV1.Table {
  const ids = { id: BigInt(id), epoch: BigInt(id), revision: 0n };
  return { ...ids, name, replicas: replicas.map(BigInt), preferredLeader: 2n };
}

/** A stream that tells what the test pushes, and ends when it says so. */
class Told {
  private readonly waiting: Uint8Array[] = [];
  private wake: () => void = () => undefined;
  private over = false;

  push(fields: Partial<feedV1.TablesChange>): void {
    this.waiting.push(change(fields));
    this.wake();
  }

  end(): void {
    this.over = true;
    this.wake();
  }

  readonly conduct: Conduct = ({ options }) => this.messages(options.signal);

  private async *messages(signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    signal?.addEventListener('abort', () => this.end());
    for (;;) {
      const next = this.waiting.shift();
      if (next) yield next;
      else if (this.over) return;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

describe('the directory of tables', () => {
  let directory: TableDirectory;
  afterEach(() => directory.stop());

  function start(nodes: FakeNodes): TableDirectory {
    directory = new TableDirectory(nodes.pool, nodes.clock, SILENT_LOGGER);
    directory.start();
    return directory;
  }
  const names = () => directory.all().map(({ name }) => name);

  it('is not known before the first view is complete, and never empty meanwhile (defect B10)', async () => {
    const told = new Told();
    const nodes = new FakeNodes([A]).on(A, told.conduct);
    start(nodes);
    expect(directory.isKnown).toBe(false);
    told.push({ begins: true, more: true, tables: [table(1, 'b')] });
    await nodes.clock.turn();
    expect([directory.isKnown, names()]).toEqual([false, []]);
    told.push({ tables: [table(2, 'a')] });
    await vi.waitFor(() => expect(directory.isKnown).toBe(true), WAIT);
    expect(names()).toEqual(['a', 'b']);
    expect(nodes.calls[0]?.path).toBe(WATCH_TABLES);
  });

  it('follows what is created, deleted and moved; a name that is used again is another table', async () => {
    const told = new Told();
    const nodes = new FakeNodes([A]).on(A, told.conduct);
    start(nodes);
    told.push({ begins: true, tables: [table(1, 'a'), table(2, 'b')] });
    told.push({ tables: [table(3, 'a', [2, 3])], deletedTables: [1n, 2n] });
    await vi.waitFor(() => expect(names()).toEqual(['a']), WAIT);
    expect(directory.find('a')).toEqual({
      id: 3,
      name: 'a',
      epoch: 3,
      revision: 0,
      replicas: [2, 3],
    });
  });

  it('keeps what it knows when a node is lost, until another one has told all', async () => {
    const first = new Told();
    const second = new Told();
    let calls = 0;
    const conduct: Conduct = (call) => (calls++ === 0 ? first : second).conduct(call);
    const nodes = new FakeNodes().on(A, conduct).on(B, conduct);
    start(nodes);
    first.push({ begins: true, tables: [table(1, 'a'), table(2, 'b')] });
    await vi.waitFor(() => expect(names()).toEqual(['a', 'b']), WAIT);
    first.end();
    second.push({ begins: true, more: true, tables: [table(2, 'b')] });
    await vi.waitFor(() => expect(calls).toBe(2), WAIT);
    expect([directory.isKnown, names()]).toEqual([true, ['a', 'b']]);
    second.push({ tables: [table(3, 'c')] });
    await vi.waitFor(() => expect(names()).toEqual(['b', 'c']), WAIT);
  });

  it('B29: is asked for until it is told, whatever went wrong before', async () => {
    const told = new Told();
    const wrong = [
      new Error('getaddrinfo ENOTFOUND a'),
      new GrpcStatusError(status.UNAUTHENTICATED, 'not let in'),
      Buffer.from('no message at all'),
      change({ more: true }),
    ];
    const nodes = new FakeNodes([A]);
    nodes.on(A, (call) => {
      const next = wrong.shift();
      return next ? [next] : told.conduct(call);
    });
    start(nodes);
    told.push({ begins: true, tables: [table(1, 'a')] });
    await vi.waitFor(() => expect(names()).toEqual(['a']), WAIT);
    expect(wrong).toEqual([]);
  });

  it('is not known any more when no node has told for a while', async () => {
    const told = new Told();
    let calls = 0;
    const nodes = new FakeNodes([A]);
    nodes.on(A, (call) => (calls++ === 0 ? told.conduct(call) : [new Error('refused')]));
    start(nodes);
    told.push({ begins: true, tables: [table(1, 'a')] });
    await vi.waitFor(() => expect(directory.isKnown).toBe(true), WAIT);
    const beforeMs = nodes.clock.now;
    told.end();
    await vi.waitFor(() => expect(directory.isKnown).toBe(false), WAIT);
    expect(nodes.clock.now - beforeMs).toBeGreaterThanOrEqual(STALE_MS);
  });

  it('shows the ways to the nodes, the leader of a table first, and closes those that went', async () => {
    const told = new Told();
    const nodes = new FakeNodes([A]).on(A, told.conduct);
    start(nodes);
    const node = (id: number) => ({ id: BigInt(id), clientUrl: `http://node-${id}:1` });
    told.push({ begins: true, tables: [table(1, 'a', [1, 2])], nodes: [node(1), node(2)] });
    await vi.waitFor(() => expect(directory.isKnown).toBe(true), WAIT);
    const ways = nodes.pool.ways(directory.find('a')?.replicas).map(({ address }) => address);
    expect(ways.slice(0, 2)).toEqual(['http://node-2:1', 'http://node-1:1']);
    expect(ways[2]).toBe(A);
    told.push({ removedNodes: [2n] });
    await vi.waitFor(() => expect(nodes.closed).toEqual(['http://node-2:1']), WAIT);
  });
});
