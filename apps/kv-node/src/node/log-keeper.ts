/**
 * Keeps the Raft log from growing without end.
 *
 * Every few seconds: groups whose log holds many applied entries, or all of them once the log is
 * larger than its bound, are cut. What is cut must be on disk in the engine first, so the engine is
 * synced in between. An engine that forgets everything at a restart needs its whole log.
 */
import { type Logger } from '@flotilla/platform';
import { type KvNodeConfig } from '../config/kv-node-config.js';
import { type NodeRuntime } from './node-runtime.js';
import { type NodeStorage } from './node-storage.js';

/** A group as the keeper sees it. */
export interface KeptGroup {
  readonly id: number;
  readonly appliedIndex: number;
  readonly firstIndex: number;
}

const CHECK_INTERVAL_MS = 5_000;
/** Size of all segments above which every group is cut to what is not applied yet. */
export const LOG_BYTES_MAX = 1024 * 1024 * 1024;

export class LogKeeper {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;

  constructor(
    private readonly config: KvNodeConfig,
    private readonly storage: NodeStorage,
    private readonly runtime: NodeRuntime,
    private readonly groups: () => Iterable<KeptGroup>,
    private readonly logger: Logger,
    private readonly onFatal: (error: unknown) => void,
  ) {}

  start(): void {
    if (!this.storage.engineIsDurable) return;
    this.timer = setInterval(() => {
      this.running ??= this.cut()
        .catch(this.onFatal)
        .finally(() => (this.running = undefined));
    }, CHECK_INTERVAL_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.running;
  }

  private async cut(): Promise<void> {
    const targets = this.targets();
    if (targets.size === 0) return;
    await this.storage.engine.sync();
    const before = this.storage.log.stats().bytes;
    await this.runtime.host.compact(targets);
    const { bytes, segments } = this.storage.log.stats();
    const freedBytes = before - bytes;
    this.logger.debug({ groups: targets.size, freedBytes, bytes, segments }, 'cut the raft log');
  }

  /** Up to which index each group is cut; groups with little to cut are left alone. */
  private targets(): Map<number, number> {
    const { snapshotEntries, compactionOverheadEntries } = this.config.raft;
    const tooLarge = this.storage.log.stats().bytes > LOG_BYTES_MAX;
    const kept = tooLarge ? 0 : compactionOverheadEntries;
    const least = tooLarge ? 1 : snapshotEntries;
    const targets = new Map<number, number>();
    if (snapshotEntries === 0 && !tooLarge) return targets;
    for (const { id, appliedIndex, firstIndex } of this.groups()) {
      const target = appliedIndex - kept;
      if (target - firstIndex + 1 >= least) targets.set(id, target);
    }
    return targets;
  }
}
