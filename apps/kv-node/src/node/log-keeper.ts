/**
 * Keeps the Raft log from growing without end.
 *
 * Every few seconds: groups whose log holds many applied entries, or all of them once the log is
 * larger than its bound, are cut. What a member still lacks stays, and what follower clusters may
 * still ask for, while the bound allows: it is cheaper to send than the whole state. What is cut must
 * be on disk in the engine first, so the engine is synced in between. An engine that forgets
 * everything at a restart needs its whole log.
 *
 *   within bounds --too large--> the newest of each stays --still too large--> all of it goes
 */
import { type Logger } from '@flotilla/platform';
import { type Group } from '@flotilla/raft';
import { type KvNodeConfig } from '../config/kv-node-config.js';
import { FIRST_TABLE_ID } from '../catalog/catalog-rows.js';
import { LogRetention } from './log-retention.js';
import { type Cancel } from './node-clock.js';
import { type NodeRuntime } from './node-runtime.js';
import { type NodeStorage } from './node-storage.js';

/** A group as the keeper sees it. */
export type KeptGroup = Pick<
  Group<unknown>,
  'id' | 'appliedIndex' | 'log' | 'progress' | 'confState' | 'isLeader'
>;

const CHECK_INTERVAL_MS = 5_000;
/** Of the bound of the log, what stays of all tables together when it is too large. */
const KEPT_SHARE = 0.5;

export class LogKeeper {
  private stopLooking: Cancel | undefined;
  private running: Promise<void> | undefined;
  private readonly retention: LogRetention;
  /** Looks in a row that found the log too large. */
  private tooLargeLooks = 0;

  constructor(
    private readonly config: KvNodeConfig,
    private readonly storage: NodeStorage,
    private readonly runtime: NodeRuntime,
    private readonly groups: () => Iterable<KeptGroup>,
    private readonly isAlive: (node: number) => boolean,
    private readonly logger: Logger,
    private readonly onFatal: (error: unknown) => void,
  ) {
    const { enabled, logRetentionBytes, logRetentionTimeMs } = config.replication;
    const bytes = enabled ? logRetentionBytes : 0;
    this.retention = new LogRetention({ bytes, timeMs: logRetentionTimeMs });
  }

  start(): void {
    if (!this.storage.engineIsDurable) return;
    this.stopLooking = this.runtime.clock.every(CHECK_INTERVAL_MS, () => {
      this.running ??= this.cut()
        .catch(this.onFatal)
        .finally(() => (this.running = undefined));
    });
  }

  async stop(): Promise<void> {
    this.stopLooking?.();
    await this.running;
  }

  private async cut(): Promise<void> {
    const targets = this.targets();
    if (targets.size === 0) return;
    await this.storage.engine.sync();
    // A replica that moved away meanwhile, and came back, has another log and another state now.
    const running = new Set(this.groups());
    const cuts = new Map<number, number>();
    for (const [group, index] of targets) if (running.has(group)) cuts.set(group.id, index);
    const before = this.storage.log.stats().bytes;
    await this.runtime.host.compact(cuts);
    const { bytes, segments } = this.storage.log.stats();
    const freedBytes = before - bytes;
    this.logger.debug({ groups: cuts.size, freedBytes, bytes, segments }, 'cut the raft log');
  }

  /** Up to which index each group is cut; groups with little to cut are left alone. */
  private targets(): Map<KeptGroup, number> {
    const { snapshotEntries, compactionOverheadEntries, logBytesMax } = this.config.raft;
    const tooLarge = this.storage.log.stats().bytes > logBytesMax;
    this.tooLargeLooks = tooLarge ? this.tooLargeLooks + 1 : 0;
    const kept = tooLarge ? 0 : compactionOverheadEntries;
    const least = tooLarge ? 1 : snapshotEntries;
    const targets = new Map<KeptGroup, number>();
    if (snapshotEntries === 0 && !tooLarge) return targets;
    const groups = [...this.groups()];
    this.retention.keepOnly(new Set(groups.map(({ id }) => id)));
    // Asking who has what costs more than looking whether there is anything to cut.
    const long = groups.filter(
      ({ appliedIndex, log }) => appliedIndex - kept - log.firstIndex() + 1 >= least,
    );
    for (const group of long) {
      const most = group.appliedIndex - kept;
      const target = tooLarge
        ? Math.min(most, this.fitting(group, (logBytesMax * KEPT_SHARE) / long.length))
        : Math.min(most, this.heldFrom(group), this.notRetained(group));
      if (target - group.log.firstIndex() + 1 >= least) targets.set(group, target);
    }
    return targets;
  }

  /** The last index that no follower cluster is to find any more. */
  private notRetained(group: KeptGroup): number {
    if (group.id < FIRST_TABLE_ID) return Infinity;
    return this.retention.cutThrough(group, this.runtime.clock.nowMs());
  }

  /** The newest entries stay, so that not all who are a little behind need a copy at once. */
  private fitting(group: KeptGroup, bytesMax: number): number {
    if (this.tooLargeLooks > 1) return Infinity;
    return this.retention.cutToFit(group, bytesMax, this.runtime.clock.nowMs());
  }

  /** The last index that every member has; a node that is away may lack everything. */
  private heldFrom(group: KeptGroup): number {
    if (group.isLeader) {
      const matches = Array.from(group.progress().values(), ({ match }) => match);
      return Math.min(Infinity, ...matches);
    }
    const { voters, learners } = group.confState();
    const everybody = [...voters, ...learners].every((node) => this.isAlive(node));
    return everybody ? Infinity : 0;
  }
}
