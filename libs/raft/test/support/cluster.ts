/**
 * A few replicas in synchronous mode with a network that can be cut, for behaviour tests.
 *
 * Every replica stores, sends and applies what its batches say; messages that the filter lets
 * through arrive in order. Clocks stand still unless a test ticks them, and election timeouts are
 * the shortest possible, so that nothing depends on chance.
 */
import {
  EntryType,
  MemoryStorage,
  RawNode,
  RaftError,
  confChangeFromEntry,
  type Entry,
  type Message,
  type NodeId,
  type RaftConfig,
  type ReadState,
} from '../../src/core/index.js';

const PUMP_ROUNDS_MAX = 1_000;

export class TestReplica {
  node: RawNode;
  /** Normal entries with a payload, in the order in which they were applied. */
  applied: string[] = [];
  reads: ReadState[] = [];

  constructor(
    readonly id: NodeId,
    private readonly config: Partial<RaftConfig>,
    readonly storage = new MemoryStorage(),
  ) {
    this.node = this.newNode(0);
  }

  private newNode(applied: number): RawNode {
    const { id, storage } = this;
    return new RawNode({
      id,
      storage,
      electionTicks: 10,
      heartbeatTicks: 1,
      random: () => 0,
      applied,
      ...this.config,
    });
  }

  /** Starts again from what is stored; what was applied is kept by the state machine. */
  restart(): void {
    this.node = this.newNode(this.node.raft.log.applied);
  }

  /** Does what one batch asks for; returns the messages to be sent. */
  work(): readonly Message[] {
    const ready = this.node.ready();
    if (ready.hardState !== undefined) this.storage.setHardState(ready.hardState);
    if (ready.snapshot !== undefined) this.storage.applySnapshot(ready.snapshot);
    this.storage.append(ready.entries);
    for (const entry of ready.committedEntries) this.apply(entry);
    this.reads.push(...ready.readStates);
    this.node.advance();
    return ready.messages;
  }

  private apply(entry: Entry): void {
    if (entry.type !== EntryType.Normal) this.node.applyConfChange(confChangeFromEntry(entry));
    else if (entry.data.length > 0) this.applied.push(textOf(entry.data));
  }
}

export class TestCluster {
  readonly replicas: ReadonlyMap<NodeId, TestReplica>;
  /** Messages for which this is false are lost. */
  delivers: (message: Message) => boolean = () => true;
  private inFlight: Message[] = [];

  constructor(ids: readonly NodeId[], config: Partial<RaftConfig> = {}) {
    this.replicas = new Map(ids.map((id) => [id, founded(id, ids, config)]));
    this.settle();
  }

  replica(id: NodeId): TestReplica {
    const replica = this.replicas.get(id);
    if (replica === undefined) throw new Error(`no replica ${id}`);
    return replica;
  }

  node(id: NodeId): RawNode {
    return this.replica(id).node;
  }

  /** Cuts off replicas: nothing reaches them, nothing leaves them. */
  isolate(...ids: NodeId[]): void {
    this.delivers = ({ from, to }) => !ids.includes(from) && !ids.includes(to);
  }

  heal(): void {
    this.delivers = () => true;
  }

  elect(id: NodeId): void {
    this.node(id).campaign();
    this.settle();
  }

  propose(id: NodeId, text: string): void {
    this.node(id).propose(bytesOf(text));
  }

  tick(id: NodeId, count = 1): void {
    for (let ticks = 0; ticks < count; ticks++) {
      this.node(id).tick();
      this.settle();
    }
  }

  /** Works and delivers until nothing is left to do. */
  settle(): void {
    for (let round = 0; round < PUMP_ROUNDS_MAX; round++) {
      let busy = false;
      for (const replica of this.replicas.values()) {
        while (replica.node.hasReady()) {
          busy = true;
          this.inFlight.push(...replica.work());
        }
      }
      const messages = this.inFlight;
      this.inFlight = [];
      for (const message of messages) {
        if (this.delivers(message)) this.deliver(message);
      }
      if (!busy && messages.length === 0) return;
    }
    throw new Error('the group did not come to rest');
  }

  deliver(message: Message): void {
    try {
      this.replicas.get(message.to)?.node.step(message);
    } catch (error) {
      // Refusals are part of the protocol; anything else is a defect.
      if (!(error instanceof RaftError)) throw error;
    }
  }

  leaders(): NodeId[] {
    return [...this.replicas.values()].filter(({ node }) => node.isLeader()).map(({ id }) => id);
  }
}

function founded(id: NodeId, ids: readonly NodeId[], config: Partial<RaftConfig>): TestReplica {
  const replica = new TestReplica(id, config);
  replica.node.bootstrap(ids.map((peer) => ({ id: peer })));
  return replica;
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function textOf(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}
