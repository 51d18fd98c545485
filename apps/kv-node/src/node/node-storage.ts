/**
 * What a node keeps on disk, opened and closed as one: the engine with the tables, and the Raft log.
 *
 * The log is opened first: its lock says whether another process uses the same folder.
 */
import { type Engine, openLmdbEngine, openMemoryEngine, openRocksEngine } from '@flotilla/mvcc';
import { type LogStore, type LogStoreOptions, openLogStore } from '@flotilla/raft';
import { type KvNodeConfig } from '../config/kv-node-config.js';
import { makeDurableFolder } from './durable-folder.js';
import { hasNodeIdentity } from './node-identity.js';

export interface NodeStorage {
  readonly engine: Engine;
  readonly log: LogStore;
  /** Whether the engine holds its data over a restart; if not, the log has to. */
  readonly engineIsDurable: boolean;
}

/** Throws LogStoreError or EngineError; what was opened before is closed again. */
export async function openNodeStorage(
  config: KvNodeConfig,
  options: Pick<LogStoreOptions, 'damagedLastFrame' | 'syncPlace'> = {},
): Promise<NodeStorage> {
  const { walDir, nodeHostDir } = config.raft;
  // A node that forgets what it voted for is not the one it was.
  const createIfMissing = !hasNodeIdentity(nodeHostDir);
  const log = await openLogStore(walDir, { createIfMissing, ...options });
  try {
    return {
      log,
      engine: await openEngine(config),
      engineIsDurable: config.storage.engine !== 'memory',
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

async function openEngine(config: KvNodeConfig): Promise<Engine> {
  if (config.storage.engine === 'memory') return openMemoryEngine();
  const directory = config.raft.stateMachineDir;
  makeDurableFolder(directory);
  if (config.storage.engine === 'lmdb') return openLmdbEngine({ directory });
  return openRocksEngine({ directory, blockCacheBytes: config.storage.blockCacheBytes });
}

/** The engine goes first: the log can replay what an engine did not get to write. */
export async function closeNodeStorage(storage: NodeStorage): Promise<void> {
  await storage.engine.close();
  await storage.log.close();
}
