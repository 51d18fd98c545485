/**
 * `catch-up`: how fast a gateway that was away gets the writes that were made meanwhile into the copy.
 *
 * The log of the leader cluster keeps them all. Counted from the first of them that is there to the
 * last; how long the gateway took to begin is told beside it.
 */
import { ClusterPair, eachOf } from './cluster-pair.js';
import type { Figures } from './replication-report.js';
import type { ReplicationOptions } from './replication-options.js';

const TABLE = 'catch-up';
const VALUE = Buffer.alloc(100, 'v');
const CONCURRENCY = 64;
const WAIT_MS = 30 * 60_000;
const LOG_FLAGS = [
  `--replication.log-retention-bytes=${4 * 1024 ** 3}`,
  `--raft.log-bytes-max=${8 * 1024 ** 3}`,
];

export async function measureCatchUp(options: ReplicationOptions): Promise<Figures> {
  const pair = await ClusterPair.start({ ...options, leaderFlags: LOG_FLAGS });
  try {
    await pair.startFollowerNode();
    const gateway = await pair.startGateway();
    await pair.leader.createTable(TABLE);
    await pair.leader.put({ table: TABLE, key: 'first', value: VALUE });
    const before = await pair.leaderIndex(TABLE);
    await pair.untilCopied(TABLE, before, WAIT_MS);
    await gateway.stop();
    await eachOf(options.keys, CONCURRENCY, (nth) =>
      pair.leader.put({ table: TABLE, key: `key-${nth}`, value: VALUE }),
    );
    const last = await pair.leaderIndex(TABLE);
    const startMs = performance.now();
    await gateway.start();
    const readyMs = performance.now();
    let first: { readonly atMs: number; readonly revision: number } | undefined;
    await pair.untilCopied(TABLE, last, WAIT_MS, (revision) => {
      if (revision > before) first ??= { atMs: performance.now(), revision };
    });
    const endMs = performance.now();
    const { copied, seconds } = progress(first, last, endMs, readyMs, before);
    return {
      commandsPerSecond: copied / seconds,
      commands: last - before,
      startMs: readyMs - startMs,
      // Also what the gateway needs to take its tables over.
      firstCommandMs: (first?.atMs ?? endMs) - readyMs,
      allMs: endMs - readyMs,
    };
  } finally {
    await pair.dispose();
  }
}

/** From the first look that saw some of it; where that saw all, from when the gateway was ready. */
function progress(
  first: { readonly atMs: number; readonly revision: number } | undefined,
  last: number,
  endMs: number,
  readyMs: number,
  before: number,
): { readonly copied: number; readonly seconds: number } {
  if (!first || first.revision >= last) {
    return { copied: last - before, seconds: (endMs - readyMs) / 1_000 };
  }
  return { copied: last - first.revision, seconds: (endMs - first.atMs) / 1_000 };
}
