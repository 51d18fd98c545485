/**
 * Drives the Raft host of this process: its clock, the ends of loop turns, and its random source.
 *
 * The host itself has no timers; everything that depends on real time enters here. A stalled loop
 * gives one tick when it goes on, never the ticks it missed, so a stall starts no elections.
 */
import { performance } from 'node:perf_hooks';
import { Host, type PeerSender, type Scheduler } from '@flotilla/raft';
import { type KvNodeConfig } from '../config/kv-node-config.js';
import { type NodeStorage } from './node-storage.js';

const SCHEDULER: Scheduler = {
  nowMs: () => performance.now(),
  defer: (task) => {
    setImmediate(task);
  },
};

/** A cluster of one has nobody to send to; a message is a sign of a wrong configuration. */
const NO_PEERS: PeerSender = {
  send: (group, message) => {
    throw new Error(`group ${group}: no way to send to node ${message.to}`);
  },
  quiesce: () => undefined,
};

export class NodeRuntime {
  readonly host: Host;
  private ticker: NodeJS.Timeout | undefined;

  constructor(
    private readonly config: KvNodeConfig,
    storage: NodeStorage,
    onFatal: (error: unknown) => void,
  ) {
    this.host = new Host(
      {
        store: storage.log,
        scheduler: SCHEDULER,
        peers: NO_PEERS,
        random: Math.random,
        onFatal,
      },
      {
        nodeId: config.raft.nodeId,
        electionTicks: config.raft.electionRtt,
        heartbeatTicks: config.raft.heartbeatRtt,
        uncommittedBytesMax: config.raft.inMemoryLogBytesMax || Infinity,
      },
    );
  }

  /** Deadline on the host's clock, `timeoutMs` from now. */
  deadline(timeoutMs: number): number {
    return SCHEDULER.nowMs() + timeoutMs;
  }

  start(): void {
    this.ticker = setInterval(() => this.host.tick(), this.config.raft.rttMs);
  }

  /** Idempotent. Whoever waits for the host is told that it closed. */
  stop(): void {
    clearInterval(this.ticker);
    this.host.close();
  }
}
