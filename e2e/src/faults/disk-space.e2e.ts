/**
 * A disk that is really full: a small file system in memory under the log, under the engine, and under
 * a node that starts. What was acknowledged is there once there is room again.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClientError, FlotillaClient } from '@flotilla/client';
import { afterEach, describe, expect, it } from 'vitest';
import { CALL_MS, NodeProcess } from '../harness/node-process.js';
import { canMount, SmallDisk } from '../harness/small-disk.js';

const TABLE = 'space';
const VALUE_BYTES = 2_000_000;
const WRITERS = 3;
const WRITES_MAX = 200;
const END_MS = 60_000;

const mayMount = canMount();
if (!mayMount) {
  console.warn('SKIPPED: tests of a full disk need the right to mount (run them as root on Linux)');
}

function valueOf(number: number): Buffer {
  return Buffer.alloc(VALUE_BYTES, `${number};`);
}

describe.skipIf(!mayMount)('a full disk', () => {
  const disks: SmallDisk[] = [];
  const nodes: NodeProcess[] = [];
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.dispose()));
    for (const disk of disks.splice(0)) disk.remove();
  });

  function smallDisk(mebibytes: number): SmallDisk {
    const disk = SmallDisk.make(mebibytes);
    if (!disk) throw new Error('cannot mount');
    disks.push(disk);
    return disk;
  }

  async function prepare(flags: readonly string[]): Promise<NodeProcess> {
    const node = await NodeProcess.prepare({ flags });
    nodes.push(node);
    return node;
  }

  /** Writes until the node is gone; returns what was acknowledged. */
  async function fill(node: NodeProcess): Promise<number[]> {
    const acknowledged: number[] = [];
    const client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CALL_MS });
    await client.createTable(TABLE);
    let next = 0;
    const writer = async (): Promise<void> => {
      while (next < WRITES_MAX) {
        const number = next++;
        await client.put({ table: TABLE, key: `k${number}`, value: valueOf(number) });
        acknowledged.push(number);
      }
    };
    const ended = await Promise.allSettled(Array.from({ length: WRITERS }, writer));
    client.close();
    for (const each of ended) {
      expect(each.status === 'rejected' && each.reason instanceof ClientError).toBe(true);
    }
    expect(await node.ended(END_MS)).toEqual({ code: 70, signal: null });
    return acknowledged;
  }

  async function expectAll(node: NodeProcess, acknowledged: readonly number[]): Promise<void> {
    const client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CALL_MS });
    const lost: number[] = [];
    for (const number of acknowledged) {
      const { kvs } = await client.range({ table: TABLE, key: `k${number}`, linearizable: true });
      if (!kvs[0]?.value.equals(valueOf(number))) lost.push(number);
    }
    await client.put({ table: TABLE, key: 'after', value: 'there is room' });
    client.close();
    expect(lost).toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(5);
  }

  it('under the log: said in advance, then the node ends, and comes back with room', async () => {
    const disk = smallDisk(72);
    const node = await prepare([`--raft.wal-dir=${join(disk.folder, 'raft')}`]);
    await node.start();
    const acknowledged = await fill(node);
    expect(node.output).toContain('there is no room for the next segment of the raft log');
    expect(node.output).toContain('the node cannot keep its promises: ending at once');
    expect(node.output).toMatch(/raft-0*2\.log failed: ENOSPC/);
    // What was begun and is of no use leaves the room to others.
    expect(disk.freeBytes).toBeGreaterThan(4 * 1024 * 1024);
    disk.grow(160);
    await node.start();
    await expectAll(node, acknowledged);
  });

  it('under the engine: the node ends, and makes its state from the log once there is room', async () => {
    const disk = smallDisk(16);
    const node = await prepare([`--raft.state-machine-dir=${join(disk.folder, 'state')}`]);
    await node.start();
    const acknowledged = await fill(node);
    expect(node.output).toContain('the node cannot keep its promises: ending at once');
    expect(node.output).toMatch(/No space left on device/);
    expect(node.output).toContain(disk.folder);
    disk.grow(160);
    await node.start();
    await expectAll(node, acknowledged);
  });

  it('under a node that starts: it ends, and names the folder', async () => {
    const disk = smallDisk(8);
    writeFileSync(join(disk.folder, 'others'), Buffer.alloc(disk.freeBytes - 64 * 1024));
    const node = await prepare([`--raft.wal-dir=${join(disk.folder, 'raft')}`]);
    expect((await node.startAndFail()).code).toBe(1);
    expect(node.output).toContain('ENOSPC');
    expect(node.output).toContain(join(disk.folder, 'raft'));
  });
});
