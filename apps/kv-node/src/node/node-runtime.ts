/**
 * Drives the Raft host of this process: its clock, the ends of loop turns, its random source, and
 * its ways to other nodes.
 *
 * The host itself has no timers; everything that depends on real time enters here. A stalled loop
 * gives one tick when it goes on, never the ticks it missed, so a stall starts no elections.
 */
import { Host, type HostObserver, type PeerSender } from '@flotilla/raft';
import { type KvNodeConfig } from '../config/kv-node-config.js';
import { type SnapshotHub } from '../snapshots/snapshot-hub.js';
import { type Cancel, type NodeClock } from './node-clock.js';
import { type NodeStorage } from './node-storage.js';

/** A tick that comes so many ticks late is counted as a stall of the loop. */
const STALL_TICKS = 4;
/** Of the groups' own heartbeats; that a node lives is told by those between nodes. */
const GROUP_HEARTBEATS_PER_ELECTION = 4;

export interface RuntimePorts {
  readonly clock: NodeClock;
  readonly peers: PeerSender;
  readonly snapshots: SnapshotHub;
  readonly onFatal: (error: unknown) => void;
  readonly observer?: HostObserver | undefined;
  /** Rows come in bulk: called with each batch of them. */
  readonly onBulk?: (() => void) | undefined;
  /** Called with every tick, after the groups had theirs. */
  readonly onTick: (nowMs: number) => void;
}

export class NodeRuntime {
  readonly host: Host;
  readonly snapshots: SnapshotHub;
  readonly clock: NodeClock;
  /** Calls of the KV API that were begun here. */
  calls = 0;
  private stopTicking: Cancel | undefined;
  private lastTickMs = 0;
  private stallCount = 0;
  private longestStallMs = 0;
  private running = true;

  constructor(
    private readonly config: KvNodeConfig,
    private readonly storage: NodeStorage,
    private readonly ports: RuntimePorts,
  ) {
    const { raft } = config;
    this.snapshots = ports.snapshots;
    this.clock = ports.clock;
    this.host = new Host(
      {
        store: storage.log,
        scheduler: ports.clock,
        peers: ports.peers,
        snapshots: ports.snapshots.fetcher,
        random: () => ports.clock.random(),
        onFatal: ports.onFatal,
        ...(ports.observer && { observer: ports.observer }),
      },
      {
        nodeId: raft.nodeId,
        electionTicks: raft.electionRtt,
        heartbeatTicks: Math.max(
          raft.heartbeatRtt,
          Math.floor(raft.electionRtt / GROUP_HEARTBEATS_PER_ELECTION),
        ),
        uncommittedBytesMax: raft.inMemoryLogBytesMax || Infinity,
      },
    );
    ports.snapshots.attach(this.host);
  }

  get isRunning(): boolean {
    return this.running;
  }

  /** Stalls of the loop since the start: how many, and the longest in milliseconds. */
  get stalls(): { readonly count: number; readonly longestMs: number } {
    return { count: this.stallCount, longestMs: this.longestStallMs };
  }

  /** Rows come in bulk. */
  noteBulk(): void {
    this.ports.onBulk?.();
  }

  /** Deadline on the host's clock, `timeoutMs` from now. */
  deadline(timeoutMs: number): number {
    return this.clock.nowMs() + timeoutMs;
  }

  /** What is left until a deadline of the host's clock, in milliseconds; never below 0. */
  remainingMs(deadlineMs: number): number {
    return Math.max(0, deadlineMs - this.clock.nowMs());
  }

  /** Whether anything is stored for a group that may not run. */
  hasLogOf(group: number): boolean {
    return this.storage.log.group(group).isStored;
  }

  /** Whether nothing but term and vote is stored: what a replica that moved away leaves. */
  isTombstone(group: number): boolean {
    const log = this.storage.log.group(group);
    return log.isStored && log.lastIndex() === 0;
  }

  start(): void {
    this.lastTickMs = this.clock.nowMs();
    this.stopTicking = this.clock.every(this.config.raft.rttMs, () => this.tick());
  }

  /** Idempotent. Whoever waits for the host is told that it closed. */
  stop(): void {
    this.running = false;
    this.stopTicking?.();
    this.host.close();
  }

  private tick(): void {
    const nowMs = this.clock.nowMs();
    const lateMs = nowMs - this.lastTickMs - this.config.raft.rttMs;
    this.lastTickMs = nowMs;
    if (lateMs > STALL_TICKS * this.config.raft.rttMs) {
      this.stallCount++;
      this.longestStallMs = Math.max(this.longestStallMs, lateMs);
    }
    this.host.tick();
    this.ports.onTick(nowMs);
  }
}
