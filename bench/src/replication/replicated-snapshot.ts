/**
 * `replicated-snapshot`: a large table whose log was cut comes as a snapshot. How fast, and what memory
 * and CPU each process needs for it beyond what it had.
 */
import { PollingFollower } from '@flotilla/e2e/harness';
import { ProcessWatch } from '../measure/process-watch.js';
import { ClusterPair, eachOf, until } from './cluster-pair.js';
import type { Figures } from './replication-report.js';
import type { ReplicationOptions } from './replication-options.js';

const TABLE = 'snapshot';
const MIB = 1024 * 1024;
const VALUE_BYTES = 16 * 1024;
const CONCURRENCY = 16;
const WAIT_MS = 60 * 60_000;
const CUT_MS = 5 * 60_000;
/** Few entries stay in the log. */
const LOG_FLAGS = [
  '--raft.snapshot-entries=100',
  '--raft.compaction-overhead=50',
  '--replication.log-retention-bytes=0',
];

export async function measureReplicatedSnapshot(options: ReplicationOptions): Promise<Figures> {
  const pair = await ClusterPair.start({ ...options, leaderFlags: LOG_FLAGS });
  try {
    const bytes = options.megabytes * MIB;
    await pair.leader.createTable(TABLE);
    await eachOf(Math.ceil(bytes / VALUE_BYTES), CONCURRENCY, (nth) =>
      pair.leader.put({ table: TABLE, key: `key-${nth}`, value: value(nth) }),
    );
    await untilCut(pair);
    await pair.startFollowerNode();
    const watch = new ProcessWatch(() => pair.processes);
    watch.start();
    await pair.startGateway();
    const startMs = performance.now();
    const last = await pair.leaderIndex(TABLE);
    await pair.untilCopied(TABLE, last, WAIT_MS);
    const seconds = (performance.now() - startMs) / 1_000;
    watch.stop();
    return {
      megabytes: options.megabytes,
      megabytesPerSecond: options.megabytes / seconds,
      seconds,
      ...watch.growthMiB(),
      ...watch.cpuMsPer('MB', options.megabytes),
    };
  } finally {
    await pair.dispose();
  }
}

/** Values that a packed stream cannot make much smaller. */
function value(nth: number): Buffer {
  const bytes = Buffer.alloc(VALUE_BYTES);
  let state = nth + 1;
  for (let at = 0; at < VALUE_BYTES; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, at);
  }
  return bytes;
}

async function untilCut(pair: ClusterPair): Promise<void> {
  const probe = new PollingFollower(pair.leaderAddress, TABLE);
  try {
    await until('the log was cut', CUT_MS, async () => {
      // A write now and then, so that there is a reason to cut it.
      await pair.leader.put({ table: TABLE, key: 'key-0', value: value(0) });
      return (await probe.poll(1).catch(() => 'not told')) === 'use-snapshot';
    });
  } finally {
    probe.close();
  }
}
