/**
 * One node and its disk: writes and syncs that fail, reads that fail, a log that was damaged.
 *
 * In each case the process says what happened and to which file, and ends; nothing it acknowledged is
 * lost once the disk is well again.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FlotillaClient } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENGINE_FILES, LOG_FILES, type DiskFault } from '../harness/disk-faults.js';
import { flipBit, framesOf, nameOf, newestSegment, overwrite } from '../harness/log-damage.js';
import { NodeProcess, runOnData, temporaryFolder } from '../harness/node-process.js';
import { seeded } from '../harness/seeded.js';
import { Workload } from '../harness/workload.js';

const TABLE = 'disk';
const EXTRA = 'extra';
const LAST = 'last-key';
const WRITERS = 8;
const END_MS = 60_000;
const seed = Number(process.env['DISK_FAULT_SEED'] ?? Date.now() % 1_000_000);

describe('one node', () => {
  const random = seeded(seed);
  let node: NodeProcess;
  let written: Workload | undefined;

  beforeAll(async () => {
    console.log(`seed ${seed}`);
    // Small enough that the engine is synced, and the log cut, during the test.
    const flags = [
      '--raft.snapshot-entries=200',
      '--raft.compaction-overhead=50',
      '--replication.log-retention-bytes=0',
    ];
    node = await NodeProcess.start({ diskFaults: true, flags });
    await withClient((client) => client.createTable(TABLE));
  });
  afterAll(() => node.dispose());

  /** A new one each time: one that met a dead node takes its time to come back. */
  async function withClient<T>(use: (client: FlotillaClient) => Promise<T>): Promise<T> {
    const client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: 15_000 });
    try {
      return await use(client);
    } finally {
      client.close();
    }
  }

  /** Writes, lets the fault come, and expects the process to end; the fault stays. */
  async function endsBy(fault: DiskFault, writes = 50): Promise<void> {
    const exit = await withClient(async (client) => {
      const work = new Workload(TABLE, [client], WRITERS, written);
      written = work;
      work.start();
      work.startReader(client);
      try {
        await work.more(writes);
        node.faults.set([fault]);
        return await node.ended(END_MS);
      } finally {
        await work.stop();
        expect(work.failures).toEqual([]);
      }
    });
    expect(exit).toEqual({ code: 70, signal: null });
    expect(node.output).toContain('the node cannot keep its promises: ending at once');
    expect(node.output).toContain(fault.code);
  }

  /** With the disk well again the node starts, and everything acknowledged is there. */
  async function recovers(): Promise<void> {
    node.faults.clear();
    await node.start();
    expect(await withClient(async (client) => written?.verify(client))).toEqual([]);
  }

  it('ends when the disk is full, in the middle of a write, and cuts the torn tail at its start', async () => {
    // Within the first frame that fails: in its header, or in its records.
    const partBytes = 1 + random(150);
    await endsBy({ call: 'write', path: LOG_FILES, code: 'ENOSPC', partBytes });
    const segment = nameOf(newestSegment(node.dataDir));
    expect(node.output).toContain(segment);
    await recovers();
    expect(node.output).toContain('cut an unfinished write off the raft log');
    expect(node.output).toContain(segment);
  });

  it('ends after the first failed fsync, touches the log no more, and recovers at its start', async () => {
    await endsBy({ call: 'sync', path: LOG_FILES, code: 'EIO' });
    const segment = newestSegment(node.dataDir);
    expect(node.output).toContain(nameOf(segment));
    const calls = node.faults.trace();
    const failed = calls.findIndex((call) => call.failed);
    expect(failed).toBeGreaterThanOrEqual(0);
    expect(calls.slice(failed + 1).filter(({ call }) => call !== 'read')).toEqual([]);
    // Where the fault stays, the node does not start: it would have to trust what it cannot sync.
    expect((await node.startAndFail()).code).toBe(1);
    expect(node.output).toContain(`${nameOf(segment)}: EIO`);
    await recovers();
  });

  it('ends when the engine cannot be synced, before anything of the log is cut', async () => {
    await endsBy({ call: 'sync', path: ENGINE_FILES, code: 'EIO' }, 400);
    expect(node.output).toMatch(/state-machine\/\d+\.log/);
    await recovers();
  });

  it('does not start where the log cannot be read, and says which file it is', async () => {
    await node.kill();
    node.faults.set([{ call: 'read', path: LOG_FILES, code: 'EIO' }]);
    expect((await node.startAndFail()).code).toBe(1);
    expect(node.output).toContain(`${nameOf(newestSegment(node.dataDir))} cannot be read at byte`);
    expect(node.output).toContain('EIO');
    node.faults.clear();
  });

  it('does not start with a flipped bit, wherever it is, and says file, place and what to do', async () => {
    const segment = newestSegment(node.dataDir);
    const { offsets } = framesOf(segment);
    for (let round = 0; round < 2; round++) {
      const offset = random(offsets.at(-1) ?? 0);
      const bit = random(8);
      flipBit(segment, offset, bit);
      const { code } = await node.startAndFail();
      expect({ code, offset, bit }).toEqual({ code: 1, offset, bit });
      expect(node.output).toContain(nameOf(segment));
      expect(node.output).toMatch(/the raft log is damaged: .* at byte \d+/);
      expect(node.output).toContain('check the disk');
      flipBit(segment, offset, bit);
    }
  });

  it('does not start with garbage behind the log, and says which file it is', async () => {
    const segment = newestSegment(node.dataDir);
    const { end } = framesOf(segment);
    const garbage = Buffer.alloc(64 + random(200), 0xa7);
    overwrite(segment, end, garbage);
    expect((await node.startAndFail()).code).toBe(1);
    expect(node.output).toContain(nameOf(segment));
    overwrite(segment, end, Buffer.alloc(garbage.length));
    await recovers();
  });

  /**
   * Writes once more, and kills the node; returns its log as that write left it. What may have come behind it, a
   * record of how far the group is, is wiped off: nobody misses that one.
   */
  async function lastFrame(): Promise<{ segment: string; start: number; end: number }> {
    if (!node.isRunning) await node.start();
    await withClient(async (client) => {
      await client.put({ table: EXTRA, key: LAST, value: 'v' });
      // The answer leaves before the engine has the write; what reads the engine for the first time waits for it.
      const { kvs } = await client.range({ table: EXTRA, key: LAST, rangeEnd: `${LAST}~` });
      expect(kvs).toHaveLength(1);
    });
    await node.kill();
    const segment = newestSegment(node.dataDir);
    const { offsets, end: logEnd } = framesOf(segment);
    const bytes = readFileSync(segment);
    const ends = [...offsets.slice(1), logEnd];
    const at = offsets.findLastIndex((from, nth) => bytes.subarray(from, ends[nth]).includes(LAST));
    const start = offsets[at];
    let end = ends[at];
    if (start === undefined || end === undefined) throw new Error('the write is not in the log');
    overwrite(segment, end, Buffer.alloc(logEnd - end));
    while (bytes[end - 1] === 0) end--;
    return { segment, start, end };
  }

  /** Gives up the end of the log, as the operator of a single node may. */
  async function recoversByHand(): Promise<string> {
    const { code, output } = runOnData(node, 'recover', ['--recover.accept-data-loss=true']);
    expect({ code, output }).toMatchObject({ code: 0 });
    await recovers();
    const { kvs } = await withClient((client) => client.range({ table: EXTRA, key: LAST }));
    // The state had it already.
    expect(kvs[0]?.value.toString()).toBe('v');
    return output;
  }

  it('does not start when its acknowledged tail is gone: the state tells', async () => {
    await withClient((client) => client.createTable(EXTRA));
    const { segment, start, end } = await lastFrame();
    const from = start + random(end - start);
    overwrite(segment, from, Buffer.alloc(end - from));
    expect((await node.startAndFail()).code).toBe(1);
    expect(node.output).not.toContain('the store is closed');
    expect(node.output).toMatch(/but the log ends at \d+: log files are missing or were replaced/);
    await recoversByHand();
  });

  it('does not start when its last write is damaged, until somebody accepts that', async () => {
    const { segment, start, end } = await lastFrame();
    flipBit(segment, start + random(end - start), random(8));
    expect((await node.startAndFail()).code).toBe(1);
    expect(node.output).toContain(nameOf(segment));
    expect(node.output).toContain('accept that loss');
    expect(await recoversByHand()).toMatch(/Cut off: \d+ bytes of .*raft-\d+\.log/);
  });

  it('does not pass for a new node without its log, however often it is started', async () => {
    await node.kill();
    rmSync(newestSegment(node.dataDir));
    for (let round = 0; round < 2; round++) {
      expect((await node.startAndFail()).code).toBe(1);
      expect(node.output).toContain('the raft log is gone');
      expect(node.output).toContain(join(node.dataDir, 'raft'));
    }
  });
});

describe('a new node', () => {
  it('does not start on a full disk, and says so', async () => {
    const dataDir = temporaryFolder('full');
    const node = await NodeProcess.prepare({ dataDir, diskFaults: true });
    try {
      node.faults.set([{ call: 'write', path: '/raft', code: 'ENOSPC' }]);
      expect((await node.startAndFail()).code).toBe(1);
      expect(node.output).toContain('ENOSPC');
      expect(node.output).toContain(join(dataDir, 'raft'));
    } finally {
      await node.dispose();
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});
