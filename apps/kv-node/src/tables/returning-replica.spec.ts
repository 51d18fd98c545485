/**
 * Replicas that leave a node and come back, over power cuts that take from the engine what it was not
 * asked to keep.
 */
import { SILENT_LOGGER, loadConfig } from '@flotilla/platform';
import { SimulatedEngine } from '@flotilla/mvcc/simulation';
import { mvccV1 } from '@flotilla/proto';
import { MessageType, openLogStore, type Entry, type LogStore, type Message } from '@flotilla/raft';
import { SimulatedFiles } from '@flotilla/raft/testing';
import { describe, expect, it, vi } from 'vitest';
import { FIRST_TABLE_ID } from '../catalog/catalog-rows.js';
import { type TableInfo } from '../catalog/catalog-state.js';
import { kvNodeSchema, type KvNodeConfig } from '../config/kv-node-config.js';
import { SYSTEM_CLOCK } from '../node/node-clock.js';
import { NodeRuntime } from '../node/node-runtime.js';
import { SnapshotHub } from '../snapshots/snapshot-hub.js';
import { TableRegistry } from './table-registry.js';

/** Time enough for a busy machine; it comes within moments. */
const WAIT = { timeout: 60_000 };

const SELF = 1;
const LEADER = 2;
const ID = FIRST_TABLE_ID + 1;
const FAR = Number.MAX_SAFE_INTEGER;

function row(replicas: readonly number[]): TableInfo {
  const stored = Buffer.alloc(0);
  const founders = [SELF];
  const placed = { replicas, founders, movingFrom: [], preferredLeader: SELF };
  return { id: ID, name: 't', epoch: 1, ...placed, completeAt: 0, stored };
}

async function configOf(): Promise<KvNodeConfig> {
  const argv = [`--raft.node-id=${SELF}`, '--raft.address=127.0.0.1:1', '--raft.join=true'];
  const inputs = { argv, environment: {}, cwd: '/', directories: [] };
  const outcome = loadConfig(kvNodeSchema('0.0.0'), inputs);
  if (outcome.kind !== 'loaded') throw new Error(JSON.stringify(outcome));
  return outcome.loaded.config;
}

function put(index: number, term: number): Entry {
  const kv = { key: Buffer.from(`k${index}`), value: Buffer.from('v') };
  const command = mvccV1.Command.fromPartial({ table: Buffer.from('t'), kv });
  return { index, term, type: 0, data: mvccV1.Command.encode(command).finish() };
}

/** One life of a node that holds one table, and what it stands on. */
class Life {
  readonly errors: unknown[] = [];
  readonly runtime: NodeRuntime;
  readonly registry: TableRegistry;

  private constructor(
    config: KvNodeConfig,
    readonly files: SimulatedFiles,
    readonly engine: SimulatedEngine,
    readonly log: LogStore,
  ) {
    const calls = {
      call: () => Promise.reject(new Error('there is nobody')),
      stream: () => {
        throw new Error('there is nobody');
      },
    };
    const fail = (error: unknown) => void this.errors.push(error);
    this.runtime = new NodeRuntime(
      config,
      { log, engine, engineIsDurable: true },
      {
        clock: SYSTEM_CLOCK,
        peers: { send: () => undefined, quiesce: () => undefined },
        snapshots: new SnapshotHub(engine, calls, SILENT_LOGGER, SYSTEM_CLOCK),
        onFatal: fail,
        onTick: () => undefined,
      },
    );
    this.registry = new TableRegistry(this.runtime, engine, fail);
  }

  static async begin(files = new SimulatedFiles(), engine = new SimulatedEngine()): Promise<Life> {
    const log = await openLogStore('/log', { files, segmentBytesMax: 64 * 1024 });
    return new Life(await configOf(), files, engine, log);
  }

  /** The power goes: the log keeps what was written, the engine what was synced and no more. */
  async end(): Promise<Life> {
    this.runtime.host.close();
    await this.log.close();
    const files = this.files.crash((below) => below - 1);
    return Life.begin(
      files,
      this.engine.crash(() => 0),
    );
  }

  get applied(): number {
    return this.registry.get(ID)?.machine.state.appliedIndex ?? 0;
  }

  /** What a leader sends whose log begins with the entries of `term`. */
  append(term: number, entries: readonly Entry[]): void {
    const message: Message = {
      type: MessageType.App,
      to: SELF,
      from: LEADER,
      term,
      logTerm: 0,
      index: 0,
      entries,
      commit: entries.length,
      vote: 0,
      snapshot: undefined,
      reject: false,
      rejectHint: 0,
      context: undefined,
      responses: [],
    };
    this.runtime.host.receive(ID, message);
  }
}

describe('a replica that moved away and comes back', () => {
  /** A life that held several entries, on disk, and gave them up. */
  async function movedAway(): Promise<Life> {
    const life = await Life.begin();
    life.registry.catalogIsCurrent(new Map());
    life.registry.follow(undefined, row([SELF]));
    const { data } = put(0, 0);
    await vi.waitFor(() => expect(life.registry.get(ID)?.group.isLeader).toBe(true), WAIT);
    for (let count = 0; count < 5; count++) await life.registry.get(ID)?.group.propose(data, FAR);
    await life.engine.sync();
    expect(life.applied).toBeGreaterThan(5);
    life.registry.follow(row([SELF]), row([LEADER]));
    return life;
  }

  async function comesBack(life: Life): Promise<void> {
    life.registry.follow(undefined, row([SELF, LEADER]));
    await vi.waitFor(() => expect(life.registry.get(ID)).toBeDefined(), WAIT);
    life.append(9, [put(1, 9), put(2, 9)]);
    await vi.waitFor(() => expect(life.applied).toBe(2), WAIT);
  }

  it.each(['in the same life', 'after a power cut', 'after one in the middle of leaving'])(
    'begins with nothing, and no power cut gives it the old rows back: %s',
    async (when) => {
      let life = await movedAway();
      if (when === 'after one in the middle of leaving') {
        await vi.waitFor(() => expect(life.runtime.isTombstone(ID)).toBe(true), WAIT);
        life = await life.end();
      } else await life.registry.settled();
      if (when === 'after a power cut') life = await life.end();
      await comesBack(life);
      const next = await life.end();
      next.registry.follow(undefined, row([SELF, LEADER]));
      await vi.waitFor(() => expect(next.applied).toBe(2), WAIT);
      expect([...life.errors, ...next.errors]).toEqual([]);
      next.runtime.host.close();
    },
  );
});
