/**
 * Giving a table's state away and fetching it, over a way that breaks, repeats and forgets.
 */
import { createHash } from 'node:crypto';
import { GrpcStatusError, status } from '@flotilla/grpc';
import { openMemoryEngine, TableStateMachine, type Engine } from '@flotilla/mvcc';
import { mvccV1, peerV1 } from '@flotilla/proto';
import { type Host, type SnapshotMetadata } from '@flotilla/raft';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SYSTEM_CLOCK } from '../node/node-clock.js';
import { type PeerCalls } from '../node/peer-calls.js';
import { GroupSnapshotFetcher } from './snapshot-fetcher.js';
import { decodeNote, encodeNote, fromWire, toWire } from './snapshot-note.js';
import { SnapshotSource, VIEWS_MAX } from './snapshot-source.js';

/** Time enough for a busy machine; it comes within moments. */
const WAIT = { timeout: 60_000 };

const GROUP = 10_001;
const ROWS = 200;
const confState = {
  voters: [1, 2, 3],
  learners: [4],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

function fill(engine: Engine): TableStateMachine {
  const table = new TableStateMachine({ engine, tableId: GROUP });
  const value = Buffer.alloc(20_000, 'x');
  table.apply(
    Array.from({ length: ROWS }, (_, at) => {
      const kv = { key: Buffer.from(`k${at}`), value };
      const command = mvccV1.Command.fromPartial({ table: Buffer.from('t'), kv });
      return { index: at + 1, data: mvccV1.Command.encode(command).finish() };
    }),
  );
  return table;
}

function hashOf(table: TableStateMachine): string {
  const hasher = createHash('sha256');
  table.hash(hasher);
  return hasher.digest('hex');
}

const logger = { warn: vi.fn(), info: vi.fn() };
const metadataOf = (table: TableStateMachine): SnapshotMetadata => ({
  index: table.state.appliedIndex,
  term: 3,
  confState,
});

describe('a snapshot between nodes', () => {
  let from: TableStateMachine;
  let source: SnapshotSource;
  let nowMs = 0;
  let engine: Engine;
  let to: TableStateMachine;
  let installed: SnapshotMetadata[];
  const progress: number[] = [];
  const fetchers: GroupSnapshotFetcher[] = [];

  beforeEach(() => {
    from = fill(openMemoryEngine());
    const group = { snapshotMetadata: () => metadataOf(from) };
    const origins = new Map([[GROUP, { table: from, group }]]);
    source = new SnapshotSource(origins, { ...SYSTEM_CLOCK, nowMs: () => nowMs }, (_group, node) =>
      progress.push(node),
    );
    engine = openMemoryEngine();
    to = new TableStateMachine({ engine, tableId: GROUP });
    installed = [];
  });
  afterEach(async () => {
    source.close();
    await Promise.all(fetchers.splice(0).map((fetcher) => fetcher.close()));
  });

  /** `meddle` may throw before or after the source was asked. */
  function fetcher(meddle: (ask: () => Buffer, call: number) => Buffer, takes = true) {
    let calls = 0;
    const peers: PeerCalls = {
      call: async (node, _path, bytes) => {
        const request = peerV1.SnapshotRequest.decode(bytes);
        const ask = () => {
          return Buffer.from(peerV1.SnapshotChunk.encode(source.read(node, request)).finish());
        };
        return meddle(ask, calls++);
      },
      stream: () => {
        throw new Error('not asked for here');
      },
    };
    const targets = { get: (group: number) => (group === GROUP ? { table: to } : undefined) };
    const made = new GroupSnapshotFetcher(engine, targets, peers, logger as never, SYSTEM_CLOCK);
    made.attach({
      installSnapshot: (_group: number, metadata: SnapshotMetadata) => {
        if (!takes) return false;
        installed.push(metadata);
        expect(decodeNote(to.stagedNote())).toEqual(metadata);
        to.installStaged();
        return true;
      },
    } as unknown as Host);
    fetchers.push(made);
    return made;
  }

  const broken = () => new GrpcStatusError(status.UNAVAILABLE, 'the connection broke');

  it('arrives whole, with what it is a snapshot of', async () => {
    const made = fetcher((ask) => ask());
    made.wanted(GROUP, 1, metadataOf(from));
    await vi.waitFor(() => expect(installed).toEqual([metadataOf(from)]), WAIT);
    expect(hashOf(to)).toBe(hashOf(from));
    expect(progress).toContain(1);
    expect(source.openViews).toBe(0);
  });

  it('goes on from where it was when the connection breaks, before or after a chunk was read', async () => {
    let asked = 0;
    const made = fetcher((ask, call) => {
      if (call % 3 === 1) throw broken();
      const bytes = ask();
      asked++;
      if (call % 3 === 2) throw broken();
      return bytes;
    });
    made.wanted(GROUP, 1, metadataOf(from));
    await vi.waitFor(() => expect(installed).toHaveLength(1), WAIT);
    expect(hashOf(to)).toBe(hashOf(from));
    expect(asked).toBeLessThan(30);
  });

  it('begins anew, with nothing left of the first attempt, when the other side forgot it', async () => {
    let isForgotten = false;
    const made = fetcher((ask, call) => {
      if (call === 3 && !isForgotten) {
        isForgotten = true;
        source.close();
      }
      return ask();
    });
    made.wanted(GROUP, 1, metadataOf(from));
    await vi.waitFor(() => expect(made.stats().failed).toBe(1), WAIT);
    expect(installed).toEqual([]);
    expect(to.stagedNote()).toBeUndefined();
    made.wanted(GROUP, 1, metadataOf(from));
    await vi.waitFor(() => expect(installed).toHaveLength(1), WAIT);
    expect(hashOf(to)).toBe(hashOf(from));
  });

  it('that was damaged on the way is refused, and nothing of it is ever used', async () => {
    const made = fetcher((ask, call) => {
      const bytes = ask();
      if (call === 2) {
        const at = Math.floor(bytes.length / 2);
        bytes[at] = (bytes[at] ?? 0) ^ 1;
      }
      return bytes;
    });
    made.wanted(GROUP, 1, metadataOf(from));
    await vi.waitFor(() => expect(made.stats().failed).toBe(1), WAIT);
    expect(installed).toEqual([]);
    expect(to.get(Buffer.from('k1'))).toBeUndefined();
  });

  it('is not overwritten by the next one while log and state are about to take it over', async () => {
    const made = fetcher((ask) => ask());
    let takeOver: () => void = () => undefined;
    made.attach({
      installSnapshot: (_group: number, metadata: SnapshotMetadata) => {
        installed.push(metadata);
        takeOver = () => to.installStaged();
        return true;
      },
    } as unknown as Host);
    made.wanted(GROUP, 1, metadataOf(from));
    await vi.waitFor(() => expect(installed).toHaveLength(1), WAIT);
    const newer = { ...metadataOf(from), index: from.state.appliedIndex + 1 };
    for (let count = 0; count < 3; count++) made.wanted(GROUP, 1, newer);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(decodeNote(to.stagedNote())).toEqual(installed[0]);
    takeOver();
    expect(hashOf(to)).toBe(hashOf(from));
    await vi.waitFor(
      () => expect(made.stats()).toEqual({ installed: 1, failed: 0, running: 0 }),
      WAIT,
    );
    expect(hashOf(to)).toBe(hashOf(from));
  });

  it('that is of another entry than it says is refused', async () => {
    const made = fetcher((ask) => {
      const chunk = peerV1.SnapshotChunk.decode(ask());
      const metadata = toWire({ ...metadataOf(from), index: from.state.appliedIndex + 1 });
      return Buffer.from(peerV1.SnapshotChunk.encode({ ...chunk, metadata }).finish());
    });
    made.wanted(GROUP, 1, metadataOf(from));
    await vi.waitFor(() => expect(made.stats().failed).toBe(1), WAIT);
    expect(installed).toEqual([]);
    expect(to.stagedNote()).toBeUndefined();
  });

  it.each(['while chunks come', 'while the engine is synced'])(
    'is given up when the group stops and starts again %s',
    async (when) => {
      const restart = () => {
        to.destroy();
        to = new TableStateMachine({ engine, tableId: GROUP });
      };
      const sync = engine.sync.bind(engine);
      engine.sync = async () => {
        await sync();
        if (when === 'while the engine is synced') restart();
      };
      const made = fetcher((ask, call) => {
        if (call === 2 && when === 'while chunks come') restart();
        return ask();
      });
      made.wanted(GROUP, 1, metadataOf(from));
      await vi.waitFor(() => expect(made.stats()).toMatchObject({ failed: 1, running: 0 }), WAIT);
      expect(installed).toEqual([]);
      expect(to.stagedNote()).toBeUndefined();
      engine.sync = sync;
      made.wanted(GROUP, 1, metadataOf(from));
      await vi.waitFor(() => expect(installed).toHaveLength(1), WAIT);
      expect(hashOf(to)).toBe(hashOf(from));
    },
  );

  it('that the group does not want any more leaves nothing behind', async () => {
    const made = fetcher((ask) => ask(), false);
    made.wanted(GROUP, 1, metadataOf(from));
    await vi.waitFor(() => expect(made.stats().failed).toBe(1), WAIT);
    expect(to.stagedNote()).toBeUndefined();
    expect(to.state.appliedIndex).toBe(0);
  });

  it('is fetched once, however often it is announced, and not at all for a group that is not here', async () => {
    const made = fetcher((ask) => ask());
    for (let count = 0; count < 5; count++) made.wanted(GROUP, 1, metadataOf(from));
    made.wanted(99, 1, metadataOf(from));
    await vi.waitFor(() => expect(installed).toHaveLength(1), WAIT);
    made.wanted(GROUP, 1, metadataOf(from));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(made.stats()).toEqual({ installed: 1, failed: 0, running: 0 });
  });

  it('is given to so many at a time, and one that nobody asks on with is closed', () => {
    const ask = (session: number, chunk = 0) =>
      source.read(1, {
        group: BigInt(GROUP),
        session: Buffer.from([session]),
        chunk: BigInt(chunk),
      });
    for (let session = 0; session < VIEWS_MAX; session++) ask(session);
    expect(() => ask(100)).toThrow('too many snapshots');
    source.start();
    nowMs += 31_000;
    vi.useFakeTimers();
    source.start();
    vi.advanceTimersByTime(6_000);
    vi.useRealTimers();
    expect(source.openViews).toBe(0);
    expect(() => ask(0, 1)).toThrow('session lost');
    expect(ask(100).last).toBe(false);
    expect(() => ask(100, 5)).toThrow('chunk 5 was asked for where 1 comes next');
  });

  it('says what it is a snapshot of the same way everywhere', () => {
    const metadata = metadataOf(from);
    expect(fromWire(toWire(metadata))).toEqual(metadata);
    expect(decodeNote(encodeNote(metadata))).toEqual(metadata);
    expect(decodeNote(undefined)).toBeUndefined();
  });
});
