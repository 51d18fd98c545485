/**
 * The disk of one node of three: the node says what happened and ends, or waits; the others go on, no
 * acknowledged write is lost, and no read is wrong meanwhile.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { LOG_FILES, type DiskFault } from '../harness/disk-faults.js';
import { flipBit, framesOf, nameOf, newestSegment } from '../harness/log-damage.js';
import { type NodeProcess } from '../harness/node-process.js';
import { seeded } from '../harness/seeded.js';
import { Workload } from '../harness/workload.js';

const TABLE = 'disk';
const WRITERS = 6;
const END_MS = 60_000;
/** A stalled leader is given two election timeouts before others are asked to lead: some seconds. */
const STALL_MS = 30_000;
const GAP_MS = 10_000;
const seed = Number(process.env['DISK_FAULT_SEED'] ?? Date.now() % 1_000_000);

describe('one disk of three', () => {
  const random = seeded(seed);
  let cluster: Cluster;
  let work: Workload | undefined;
  let leader: number;

  beforeAll(async () => {
    console.log(`seed ${seed}`);
    cluster = await Cluster.start(3, { diskFaults: true });
    await cluster.client().createTable(TABLE);
  });
  afterAll(() => cluster.dispose());
  beforeEach(async () => {
    leader = await cluster.leaderOf(TABLE);
  });

  function follower(): number {
    return cluster.ids.find((id) => id !== leader && cluster.node(id).isRunning) ?? 0;
  }

  /** Runs a fault under load, through all nodes; everything is checked once they are well again. */
  async function underLoad(run: (load: Workload) => Promise<void>): Promise<Workload> {
    const load = new Workload(TABLE, [cluster.client(undefined, 3_000)], WRITERS, work);
    work = load;
    load.start();
    load.startReader(cluster.client(undefined, 3_000));
    try {
      await load.more(100);
      await run(load);
      await load.more(100);
    } finally {
      await load.stop();
    }
    expect(load.failures).toEqual([]);
    for (const id of cluster.ids.filter((each) => cluster.node(each).isRunning)) {
      expect(await load.verify(cluster.client(id))).toEqual([]);
    }
    return load;
  }

  /** The node ends by the fault, the others go on, and it is back once the fault is gone. */
  async function endsAndReturns(id: number, fault: DiskFault): Promise<void> {
    const node = cluster.node(id);
    await underLoad(async (load) => {
      node.faults.set([fault]);
      expect(await node.ended(END_MS)).toEqual({ code: 70, signal: null });
      expect(node.output).toContain('the node cannot keep its promises: ending at once');
      expect(node.output).toContain(nameOf(newestSegment(node.dataDir)));
      expect(node.output).toContain(fault.code);
      await load.more(200);
      node.faults.clear();
      await node.start();
    });
  }

  it('an fsync that fails on the leader ends it, and others lead', async () => {
    await endsAndReturns(leader, { call: 'sync', path: LOG_FILES, code: 'EIO' });
  });

  it('a full disk in the middle of a write ends a follower, and the others go on', async () => {
    const fault = { call: 'write', path: LOG_FILES, code: 'ENOSPC', partBytes: 1 + random(100) };
    const id = follower();
    await endsAndReturns(id, fault as DiskFault);
    expect(cluster.node(id).output).toContain('cut an unfinished write off the raft log');
  });

  async function stalls(node: NodeProcess, load: Workload): Promise<void> {
    load.longestGapMs = 0;
    node.faults.set([{ call: 'sync', path: LOG_FILES, stallMs: STALL_MS }]);
    await waitUntil('a sync is late', () =>
      node.faults.trace().some(({ call }) => call === 'sync'),
    );
    node.faults.clear();
    await waitUntil('the node says so', () =>
      node.output.includes('the disk does not finish a write of the raft log'),
    );
    await waitUntil('it is not ready', async () => {
      const { status } = await fetch(`${node.restAddress}/readyz`);
      return status === 503;
    });
    await load.more(50);
    expect(node.output).not.toContain('the disk has finished');
    await waitUntil('the sync is over', () => node.output.includes('the disk has finished'));
    await waitUntil('it is ready again', async () => {
      const { status } = await fetch(`${node.restAddress}/readyz`);
      return status === 200;
    });
  }

  it('an fsync that takes half a minute on the leader: others lead before it ends', async () => {
    const load = await underLoad(async (running) => {
      await stalls(cluster.node(leader), running);
    });
    console.log(`longest gap ${Math.round(load.longestGapMs)} ms`);
    expect(load.longestGapMs).toBeLessThan(GAP_MS);
  });

  it('a flipped bit keeps a node from starting; its successor gets everything', async () => {
    const damaged = follower();
    const node = cluster.node(damaged);
    await underLoad(async (load) => {
      await node.kill();
      const segment = newestSegment(node.dataDir);
      flipBit(segment, random(framesOf(segment).offsets.at(-1) ?? 0), random(8));
      expect((await node.startAndFail()).code).toBe(1);
      expect(node.output).toContain(nameOf(segment));
      expect(node.output).toContain('let it rejoin');
      await load.more(100);
      cluster.wipe(damaged);
      const id = await cluster.addNode(leader, { replaces: damaged });
      await waitUntil('the new node has the table', async () => {
        const [placement] = await cluster.placements(leader);
        const replicas = placement?.replicas.map(Number) ?? [];
        return replicas.includes(id) && !replicas.includes(damaged);
      });
    });
  });
});
