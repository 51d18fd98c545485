/**
 * A node's runtime on a simulated disk, without peers: groups of one voter lead at once, others wait.
 *
 * In: what a power cut left, if there was one. Out: storage and runtime of one life; `crash` ends it
 * and says what the next one finds. Time is the machine's; nothing here ticks unless a test says so.
 */
import { SimulatedEngine } from '@flotilla/mvcc/simulation';
import { openLogStore } from '@flotilla/raft';
import { SimulatedFiles } from '@flotilla/raft/testing';
import { loadConfig } from '@flotilla/platform';
import { kvNodeSchema, type KvNodeConfig } from '../../src/config/kv-node-config.js';
import { SYSTEM_CLOCK } from '../../src/node/node-clock.js';
import { NodeRuntime } from '../../src/node/node-runtime.js';
import { type NodeStorage } from '../../src/node/node-storage.js';
import { SnapshotHub } from '../../src/snapshots/snapshot-hub.js';

export const SELF = 1;

/** What is on disk between two lives. */
export interface Disk {
  readonly files: SimulatedFiles;
  readonly engine: SimulatedEngine;
}

export interface NodeOnDisk extends Disk {
  readonly config: KvNodeConfig;
  readonly storage: NodeStorage;
  readonly runtime: NodeRuntime;
  readonly fatal: readonly unknown[];
  /** `pick` says which state of the engine survives: 0 is what was synced. */
  crash(pick: (below: number) => number): Disk;
}

export const SILENT = {
  debugEnabled: false,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

function configOf(flags: readonly string[]): KvNodeConfig {
  const argv = [`--raft.node-id=${SELF}`, ...flags];
  const inputs = { argv, environment: {}, cwd: '/', directories: [] };
  const outcome = loadConfig(kvNodeSchema('0.0.0'), inputs);
  if (outcome.kind !== 'loaded') throw new Error(`refused: ${JSON.stringify(outcome)}`);
  return outcome.loaded.config;
}

export async function openNode(disk?: Disk, flags: readonly string[] = []): Promise<NodeOnDisk> {
  const { files, engine } = disk ?? { files: new SimulatedFiles(), engine: new SimulatedEngine() };
  const log = await openLogStore('/log', { files, segmentBytesMax: 64 * 1024 });
  const storage: NodeStorage = { log, engine, engineIsDurable: true };
  const unused = () => Promise.reject(new Error('there is nobody else'));
  const calls = { call: unused, stream: () => unused() as never };
  const fatal: unknown[] = [];
  const config = configOf(flags);
  const runtime = new NodeRuntime(config, storage, {
    clock: SYSTEM_CLOCK,
    peers: { send: () => undefined, quiesce: () => undefined },
    snapshots: new SnapshotHub(engine, calls, SILENT, SYSTEM_CLOCK),
    onFatal: (error) => fatal.push(error),
    onTick: () => undefined,
  });
  return {
    files,
    engine,
    config,
    storage,
    runtime,
    fatal,
    crash: (pick) => {
      runtime.stop();
      void runtime.snapshots.close();
      return { files: files.crash(() => 0), engine: engine.crash(pick) };
    },
  };
}
