/**
 * Hosts in one process: real log stores on simulated disks, messages routed by hand, a clock that the
 * test moves. A list of texts is the state machine.
 */
import { openLogStore, type LogStore } from '../../src/log-store/index.js';
import { SimulatedFiles } from '../../src/log-store/testing/simulated-files.js';
import {
  Host,
  type CommittedEntry,
  type Group,
  type HostOptions,
  type SnapshotFetcher,
  type StateMachine,
} from '../../src/host/index.js';
import type { Message, NodeId } from '../../src/core/index.js';

const DIRECTORY = '/log';
const SETTLE_TURNS = 40;

export class TextMachine implements StateMachine<string> {
  appliedIndex = 0;
  readonly texts: string[] = [];

  apply(entries: readonly CommittedEntry[]): readonly string[] {
    return entries.map(({ index, data }) => {
      if (index !== this.appliedIndex + 1) throw new Error(`applied ${index} out of order`);
      this.appliedIndex = index;
      const text = Buffer.from(data).toString();
      if (text !== '') this.texts.push(text);
      return text;
    });
  }
}

export class Network {
  readonly nodes = new Map<NodeId, HostNode>();
  /** Pairs `from>to` whose messages are lost. */
  readonly cut = new Set<string>();
  nowMs = 0;
  /** Messages that were sent, lost ones included. */
  sent = 0;
  /** Told of snapshots that were announced, by the node that wants them. */
  onWanted: (node: NodeId, ...wanted: Parameters<SnapshotFetcher['wanted']>) => void = () =>
    undefined;

  isolate(id: NodeId): void {
    for (const other of this.nodes.keys()) {
      this.cut.add(`${id}>${other}`).add(`${other}>${id}`);
    }
  }

  heal(): void {
    this.cut.clear();
  }

  send(group: number, message: Message): void {
    this.sent++;
    if (this.cut.has(`${message.from}>${message.to}`)) return;
    setImmediate(() => this.nodes.get(message.to)?.host.receive(group, message));
  }

  quiesce(from: NodeId, to: NodeId, group: number, term: number, index: number): void {
    if (this.cut.has(`${from}>${to}`)) return;
    setImmediate(() => this.nodes.get(to)?.host.receiveQuiesce(group, from, term, index));
  }

  /** Lets everything that is under way come to rest. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < SETTLE_TURNS; turn++) await new Promise(setImmediate);
  }

  /** Moves the clock by ticks of 50 ms. */
  async tick(count: number): Promise<void> {
    for (let at = 0; at < count; at++) {
      this.nowMs += 50;
      for (const { host } of this.nodes.values()) host.tick();
      await this.settle();
    }
  }
}

export class HostNode {
  readonly machines = new Map<number, TextMachine>();
  readonly groups = new Map<number, Group<string>>();

  private constructor(
    readonly id: NodeId,
    readonly network: Network,
    readonly files: SimulatedFiles,
    readonly store: LogStore,
    readonly host: Host,
    /** What the host said it cannot go on after. */
    readonly fatal: readonly unknown[],
  ) {}

  static async open(
    network: Network,
    id: NodeId,
    options: Partial<HostOptions> = {},
    files = new SimulatedFiles(),
    /** Where its random numbers begin: a process that is started again draws others. */
    firstDraw = id * 7919,
  ): Promise<HostNode> {
    const store = await openLogStore(DIRECTORY, { files, segmentBytesMax: 256 * 1024 });
    const fatal: unknown[] = [];
    let draws = firstDraw;
    const host = new Host(
      {
        store,
        scheduler: { nowMs: () => network.nowMs, defer: (task) => void setImmediate(task) },
        peers: {
          send: (group, message) => network.send(group, message),
          quiesce: (to, group, term, index) => network.quiesce(id, to, group, term, index),
        },
        snapshots: { wanted: (...wanted) => network.onWanted(id, ...wanted) },
        // Fixed and different on every node: elections are repeatable and do not collide.
        random: () => (draws = (draws * 48_271) % 2_147_483_647) / 2_147_483_647,
        onFatal: (error) => fatal.push(error),
      },
      { nodeId: id, electionTicks: 5, heartbeatTicks: 1, ...options },
    );
    const node = new HostNode(id, network, files, store, host, fatal);
    network.nodes.set(id, node);
    return node;
  }

  start(group: number, peers: readonly NodeId[], machine = new TextMachine()): Group<string> {
    this.machines.set(group, machine);
    return this.startWith(group, peers, machine);
  }

  startWith(group: number, peers: readonly NodeId[], machine: StateMachine<string>): Group<string> {
    const started = this.host.startGroup(group, machine, peers);
    this.groups.set(group, started);
    return started;
  }

  /** Power goes: what was not synced is lost. The node is gone; open another on what is left. */
  crash(): SimulatedFiles {
    this.network.nodes.delete(this.id);
    return this.files.crash(() => 0);
  }
}

/** A message that says nothing, to be filled in. */
export const EMPTY_MESSAGE = {
  term: 0,
  logTerm: 0,
  index: 0,
  entries: [],
  commit: 0,
  vote: 0,
  snapshot: undefined,
  reject: false,
  rejectHint: 0,
  context: undefined,
  responses: [],
};

export function text(content: string): Uint8Array {
  return Buffer.from(content);
}

/** How a promise stands now. */
export async function stateOf(promise: Promise<unknown>): Promise<'pending' | 'done' | 'failed'> {
  return Promise.race([
    promise.then(
      () => 'done' as const,
      () => 'failed' as const,
    ),
    new Promise<'pending'>((resolve) => setImmediate(() => resolve('pending'))),
  ]);
}
