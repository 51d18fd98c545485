/**
 * One simulated machine: a replica with asynchronous storage that takes its time and can crash.
 *
 * What was handed to the append thread is lost in a crash unless its turn came; what the state
 * machine applied survives (it is a digest next to its index). Nothing happens unless told to.
 */
import {
  EntryType,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  MemoryStorage,
  RaftError,
  RawNode,
  confChangeFromEntry,
  isEmptyHardState,
  type ConfState,
  type Message,
  type NodeId,
  type RaftConfig,
} from '../../src/core/index.js';
import { EMPTY_STATE, nextState, type SimChecker } from './sim-checker.js';

export class SimReplica {
  node: RawNode;
  isUp = true;
  readonly storage = new MemoryStorage();
  private appendWork: Message[] = [];
  private applyWork: Message[] = [];
  private appliedIndex = 0;
  private state = EMPTY_STATE;
  private confState: ConfState;
  /** Reads under way: context -> what was applied anywhere when they began. */
  private readonly reads = new Map<string, number>();
  private readsStarted = 0;
  readsConfirmed = 0;

  constructor(
    readonly id: NodeId,
    private readonly peers: readonly NodeId[],
    private readonly config: Omit<RaftConfig, 'id' | 'storage'>,
    private readonly checker: SimChecker,
    private readonly send: (message: Message) => void,
  ) {
    this.node = this.found();
    this.confState = this.node.status().confState;
  }

  private found(): RawNode {
    const node = this.newNode();
    node.bootstrap(this.peers.map((peer) => ({ id: peer })));
    return node;
  }

  private newNode(): RawNode {
    const { id, storage } = this;
    const applied = this.appliedIndex;
    return new RawNode({ ...this.config, id, storage, applied, asyncStorageWrites: true });
  }

  crash(): void {
    this.isUp = false;
    this.appendWork = [];
    this.applyWork = [];
    this.reads.clear();
  }

  restart(): void {
    this.isUp = true;
    if (this.storage.lastIndex() === 0) {
      // The founding itself was lost; nobody has heard of it.
      this.node = this.found();
      return;
    }
    // The state machine may be ahead of the commit index and configuration that were stored.
    this.storage.setConfState(this.confState);
    const { hardState } = this.storage.initialState();
    const commit = Math.max(hardState.commit, this.appliedIndex);
    this.storage.setHardState({ ...hardState, commit });
    this.node = this.newNode();
  }

  step(message: Message): void {
    if (!this.isUp) return;
    try {
      this.node.step(message);
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
    }
  }

  propose(data: Uint8Array): boolean {
    if (!this.isUp) return false;
    try {
      this.node.propose(data);
      return true;
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
      return false;
    }
  }

  read(): void {
    if (!this.isUp) return;
    const key = `${this.id}/${this.readsStarted++}`;
    this.reads.set(key, this.checker.appliedMax);
    this.node.readIndex(new TextEncoder().encode(key));
  }

  /** Takes one batch, if there is one: sends what may be sent, queues the local work. */
  handleReady(): void {
    if (!this.isUp || !this.node.hasReady()) return;
    const ready = this.node.ready();
    const { state, term } = this.node.raft;
    if (state === 'StateLeader') this.checker.leads(this.id, term);
    for (const { requestContext, index } of ready.readStates) {
      const before = this.reads.get(new TextDecoder().decode(requestContext));
      if (before === undefined) continue;
      this.readsConfirmed++;
      this.checker.readConfirmed(this.id, index, before);
    }
    for (const message of ready.messages) {
      if (message.to === LOCAL_APPEND_THREAD) this.appendWork.push(message);
      else if (message.to === LOCAL_APPLY_THREAD) this.applyWork.push(message);
      else this.send(message);
    }
  }

  /** The append thread finishes one piece of work. */
  append(): void {
    const work = this.appendWork.shift();
    if (work === undefined) return;
    const { term, vote, commit, entries, snapshot, responses } = work;
    const hardState = { term, vote, commit };
    if (snapshot !== undefined) {
      this.storage.applySnapshot(snapshot);
      this.installed(snapshot.metadata.index, snapshot.data, snapshot.metadata.confState);
    }
    this.storage.append(entries);
    if (!isEmptyHardState(hardState)) this.storage.setHardState(hardState);
    this.answer(responses);
  }

  private installed(index: number, data: Uint8Array, confState: ConfState): void {
    if (index <= this.appliedIndex) return;
    this.appliedIndex = index;
    this.state = Number(new TextDecoder().decode(data));
    this.confState = confState;
    this.checker.applied(this.id, index, this.state);
  }

  /** The apply thread finishes one piece of work. */
  apply(): void {
    const work = this.applyWork.shift();
    if (work === undefined) return;
    for (const entry of work.entries) {
      if (entry.index <= this.appliedIndex) continue;
      if (entry.type !== EntryType.Normal) {
        this.confState = this.node.applyConfChange(confChangeFromEntry(entry));
      }
      this.appliedIndex = entry.index;
      this.state = nextState(this.state, entry);
      this.checker.applied(this.id, entry.index, this.state);
    }
    this.answer(work.responses);
  }

  private answer(responses: readonly Message[]): void {
    for (const response of responses) {
      if (response.to === this.id) this.step(response);
      else this.send(response);
    }
  }

  /** Drops the applied part of the log. */
  compact(): void {
    const { storage, appliedIndex } = this;
    const stored = Math.min(appliedIndex, storage.lastIndex());
    if (!this.isUp || stored !== appliedIndex || stored < storage.firstIndex()) return;
    const data = new TextEncoder().encode(String(this.state));
    storage.createSnapshot(appliedIndex, this.confState, data);
    storage.compact(appliedIndex);
  }

  checkAtRest(): void {
    this.checker.atRest(this.id, this.appliedIndex, this.state);
  }
}
