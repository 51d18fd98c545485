/**
 * What kind of a deployment a seed stands for, and what happens to it.
 *
 * Every run draws which faults there are and how heavy they are: one that has them all at once hides
 * what a few alone would show (swarm testing).
 */
import { type SimRandom } from '@flotilla/raft/testing';
import { type DiskProfile } from './sim-disk.js';
import { type NetworkProfile } from './sim-network.js';

export const FAULTS = [
  'kill',
  'power',
  'power-all',
  'pause',
  'isolate',
  'split',
  'one-way',
  'ring',
  'slow',
  'reset',
  'heal',
  'quiet',
  'disk-error',
  'stop',
  'rolling',
  'transfer',
  'add',
  'replace',
  'wipe',
  'drain',
  'remove',
  'create-table',
  'delete-table',
] as const;

export type Fault = (typeof FAULTS)[number];

export interface Profile {
  readonly nodes: number;
  readonly tables: number;
  readonly clients: number;
  readonly thinkMaxMs: number;
  /** Mean time between two faults. */
  readonly faultEveryMs: number;
  readonly faults: readonly Fault[];
  readonly network: NetworkProfile;
  readonly disk: DiskProfile;
  /** Clocks run faster or slower by up to this part. */
  readonly clockDrift: number;
  readonly wallOffsetMaxMs: number;
  readonly flags: readonly string[];
}

const MEMBERSHIP: ReadonlySet<Fault> = new Set(['add', 'replace', 'wipe', 'drain', 'remove']);

export function drawProfile(random: SimRandom): Profile {
  const pick = <T>(...choices: readonly [T, ...T[]]): T =>
    choices[random.below(choices.length)] ?? choices[0];
  const withMembership = random.chance(0.5);
  const drawn = FAULTS.filter((fault) => {
    if (fault === 'heal') return true;
    return MEMBERSHIP.has(fault) ? withMembership && random.chance(0.7) : random.chance(0.6);
  });
  const snapshotEntries = pick(5, 10, 25, 100, 1_000);
  return {
    nodes: pick(3, 3, 3, 5, 4),
    tables: pick(1, 1, 2, 4),
    clients: pick(3, 6, 12),
    thinkMaxMs: pick(5, 20, 100, 1_000),
    faultEveryMs: pick(200, 500, 1_500, 4_000),
    faults: drawn,
    network: {
      latencyMinMs: 0.1,
      latencyMaxMs: pick(1, 5, 60),
      loss: pick(0, 0, 0.02, 0.15),
      duplication: pick(0, 0, 0.05),
      reordering: pick(0, 0.05, 0.3),
      reorderingMaxMs: pick(5, 200, 2_000),
    },
    disk: {
      syncMaxMs: pick(1, 5, 40),
      stallChance: pick(0, 0.002, 0.02),
      stallMaxMs: pick(500, 4_000),
      pendingBytesMax: pick(64 * 1024 * 1024, 64 * 1024 * 1024, 4 * 1024),
    },
    clockDrift: pick(0, 0.001, 0.1),
    wallOffsetMaxMs: pick(0, 1_000, 3_600_000),
    flags: [
      `--raft.snapshot-entries=${snapshotEntries}`,
      '--replication.log-retention-bytes=0',
      `--raft.compaction-overhead=${pick(0, 3, 20)}`,
      `--raft.rtt=${pick(10, 50)}ms`,
    ],
  };
}
