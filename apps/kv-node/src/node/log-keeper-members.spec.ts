import { SILENT_LOGGER } from '@flotilla/platform';
import { describe, expect, it, vi } from 'vitest';
import { type KvNodeConfig } from '../config/kv-node-config.js';
import { LogKeeper, type KeptGroup } from './log-keeper.js';
import { SYSTEM_CLOCK } from './node-clock.js';
import { type NodeRuntime } from './node-runtime.js';
import { type NodeStorage } from './node-storage.js';

/** Time enough for a busy machine; it comes within moments. */
const WAIT = { timeout: 60_000 };

const APPLIED = 500;

function keptGroup(appliedIndex: number): KeptGroup {
  const progress = new Map([[1, { match: appliedIndex, isLearner: false, isActive: true }]]);
  return {
    id: 7,
    appliedIndex,
    log: { firstIndex: () => 1 },
    isLeader: true,
    progress: () => progress,
  } as unknown as KeptGroup;
}

describe('the keeper of the log', () => {
  /** Runs it once over a group; while the engine is synced, `meanwhile` gives the groups there are. */
  async function cutWith(meanwhile: (before: KeptGroup) => KeptGroup[]): Promise<unknown[]> {
    let groups = [keptGroup(APPLIED)];
    const cuts: unknown[] = [];
    let look: () => void = () => undefined;
    const storage = {
      engineIsDurable: true,
      engine: {
        sync: () => {
          groups = groups.flatMap(meanwhile);
          return Promise.resolve();
        },
      },
      log: { stats: () => ({ bytes: 0, segments: 1 }) },
    };
    const runtime = {
      clock: { ...SYSTEM_CLOCK, every: (_: number, task: () => void) => ((look = task), look) },
      host: {
        compact: (indexes: ReadonlyMap<number, number>) => {
          cuts.push([...indexes]);
          return Promise.resolve();
        },
      },
    };
    const raft = { snapshotEntries: 100, compactionOverheadEntries: 10, logBytesMax: 1_000 };
    const keeper = new LogKeeper(
      { raft, replication: { enabled: false } } as unknown as KvNodeConfig,
      storage as unknown as NodeStorage,
      runtime as unknown as NodeRuntime,
      () => groups,
      () => true,
      SILENT_LOGGER,
      (error) => cuts.push(error),
    );
    keeper.start();
    look();
    await vi.waitFor(() => expect(cuts).toHaveLength(1), WAIT);
    return cuts;
  }

  it('cuts what every member has', async () => {
    expect(await cutWith((same) => [same])).toEqual([[[7, APPLIED - 10]]]);
  });

  it('leaves a replica alone that gave its log up and began anew while the engine was synced', async () => {
    expect(await cutWith(() => [keptGroup(3)])).toEqual([[]]);
  });
});
