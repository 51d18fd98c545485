/**
 * The command `kv-node recover`: says what would be given up, and with the accepting flag does it.
 */
import { EXIT_CODES } from '@flotilla/platform';
import { type KvNodeConfig } from '../config/kv-node-config.js';
import { nodeIdentity } from '../node/node-identity.js';
import { closeNodeStorage, openNodeStorage } from '../node/node-storage.js';
import { recoverNode, type RecoveryPlan } from './recover.js';

/** Returns the exit code. */
export async function runRecover(
  config: KvNodeConfig,
  print: (line: string) => void,
): Promise<number> {
  try {
    const { raft, memberlist, recover } = config;
    // A damaged last write is given up too, but only by who has accepted that.
    const damagedLastFrame = recover.acceptDataLoss ? 'cut' : 'refuse';
    const storage = await openNodeStorage(config, { damagedLastFrame });
    try {
      const { recovery } = storage.log.stats();
      nodeIdentity(raft.nodeHostDir, raft.nodeId, memberlist.clusterName, false);
      if (recovery.cutAt) {
        const { file, offset } = recovery.cutAt;
        print(`Cut off: ${recovery.cutBytes} bytes of ${file} from byte ${offset}.`);
      }
      const plan = await recoverNode(storage, raft.nodeId, recover.acceptDataLoss);
      for (const line of describe(plan, recover.acceptDataLoss)) print(line);
      return 0;
    } finally {
      await closeNodeStorage(storage);
    }
  } catch (error) {
    print(`recover: ${error instanceof Error ? error.message : String(error)}`);
    return EXIT_CODES.failed;
  }
}

function* describe(plan: RecoveryPlan, done: boolean): Iterable<string> {
  const { nodeId, removed, kept, lost } = plan;
  yield `Node ${nodeId} ${done ? 'is' : 'would be'} the only node of its cluster.`;
  yield `Nodes that ${done ? 'are' : 'would be'} refused from now on: ${removed.join(', ') || 'none'}`;
  yield 'Given up: every write that other nodes acknowledged and this one does not have.';
  yield 'Kept although it may never have been acknowledged: whatever is in the log of this node.';
  for (const { table, lastIndex } of kept) yield `  table ${table}: kept up to entry ${lastIndex}`;
  for (const table of lost) yield `  table ${table}: LOST, no replica is on this node`;
  if (done) {
    yield 'Start the node as before, then add new nodes (flotilla cluster add).';
  } else {
    yield 'Nothing was changed. To do it: the same command with --recover.accept-data-loss=true';
  }
}
