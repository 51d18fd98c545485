/**
 * Bugs that are put into simulated nodes on purpose: whoever trusts the simulation can see that it
 * finds them. Each is a mistake that real systems have made. The product's code is not touched.
 */
import { type Group, type LogStore } from '@flotilla/raft';
import { raftOf } from '@flotilla/raft/testing';
import { type SimNode } from './sim-node.js';

export const PLANTS = {
  'ack-before-sync': 'an append counts as durable before it is on disk',
  'commit-old-term': 'entries of earlier terms are committed by counting replicas',
  'forget-vote': 'a node that restarts does not know whom it voted for',
  'read-without-quorum': 'a leader answers linearizable reads without asking anybody',
  'apply-twice': 'the applied index is written after the data it speaks of',
} as const;

export type PlantName = keyof typeof PLANTS;

export function isPlantName(name: string): name is PlantName {
  return Object.hasOwn(PLANTS, name);
}

/** Of the row that holds a table's applied index: table id, then the area of either slot. */
const META_AREAS: ReadonlySet<number | undefined> = new Set([0x00, 0x08]);
const AREA_AT = 4;

/** Before a node runs on its storage. */
export function plantInStorage(plant: PlantName | undefined, node: SimNode, log: LogStore): void {
  if (plant === 'ack-before-sync') acknowledgeAtOnce(log);
  if (plant === 'forget-vote') forgetVotes(log);
  if (plant === 'apply-twice') {
    node.disk.engine.tears = (key) => META_AREAS.has(key[AREA_AT]);
  }
}

/** For every group that runs, again and again. */
export function plantInGroup(plant: PlantName | undefined, group: Group<unknown>): void {
  if (plant === 'commit-old-term') {
    const { log } = raftOf(group);
    log.maybeCommit = (index) => {
      if (index <= log.committed || index > log.lastIndex()) return false;
      log.commitTo(index);
      return true;
    };
  }
  if (plant === 'read-without-quorum') {
    const ask = Object.getPrototypeOf(group) as Group<unknown>;
    group.readBarrier = (deadlineMs) =>
      group.isLeader ? Promise.resolve() : ask.readBarrier.call(group, deadlineMs);
  }
}

function acknowledgeAtOnce(log: LogStore): void {
  const write = log.write.bind(log);
  log.write = (batch, options) => {
    // What becomes of it is nobody's concern: that is the bug.
    write(batch, options).catch(() => undefined);
    return Promise.resolve();
  };
}

function forgetVotes(log: LogStore): void {
  const group = log.group.bind(log);
  const patched = new Set<number>();
  log.group = (id) => {
    const found = group(id);
    if (patched.has(id)) return found;
    patched.add(id);
    const state = found.initialState.bind(found);
    found.initialState = () => {
      const { hardState, ...rest } = state();
      return { hardState: { ...hardState, vote: 0 }, ...rest };
    };
    return found;
  };
}
