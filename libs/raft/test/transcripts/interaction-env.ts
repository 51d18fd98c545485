/**
 * A group of replicas, the messages between them, and the output: what interaction commands act on.
 *
 *   command -> replica -> Ready -> storage, state machine, messages in flight -> replica ...
 *
 * Nothing happens by itself: messages move, threads work and clocks tick only when a command says
 * so, which is what makes the output exact.
 */
import {
  MessageType,
  RaftError,
  StateType,
  describeMessage,
  describeReady,
  isLocalTarget,
  type Message,
  type NodeId,
  type RaftConfig,
  type Snapshot,
} from '../../src/core/index.js';
import { InteractionNode } from './interaction-node.js';
import { RedirectLogger } from './redirect-logger.js';

export interface Recipient {
  readonly id: NodeId;
  readonly drop: boolean;
}

/** Rounds of one `stabilize`; a group that talks for longer never stops. */
const STABILIZE_ROUNDS_MAX = 10_000;

export class InteractionEnv {
  readonly output = new RedirectLogger();
  readonly nodes: InteractionNode[] = [];
  private inFlight: Message[] = [];

  addNodes(count: number, config: Partial<RaftConfig>, initial: Snapshot): void {
    if (initial.metadata.index === 1) {
      throw new Error('index must be specified as > 1 due to bootstrap');
    }
    for (let added = 0; added < count; added++) {
      const full = {
        electionTicks: 3,
        heartbeatTicks: 1,
        inflightMessagesMax: 2 ** 31 - 1,
        random: () => 0,
        ...config,
        applied: initial.metadata.index,
        id: this.nodes.length + 1,
        logger: this.output,
      };
      this.nodes.push(new InteractionNode(full, initial));
    }
  }

  node(id: NodeId): InteractionNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  queue(message: Message): void {
    this.inFlight.push(message);
  }

  processReady(id: NodeId): void {
    const node = this.node(id);
    const ready = node.rawNode.ready();
    this.output.write(describeReady(ready));
    if (!node.isAsync) {
      node.append(ready.hardState, ready.entries, ready.snapshot);
      node.apply(ready.committedEntries);
    }
    for (const message of ready.messages) {
      if (!isLocalTarget(message.to)) this.queue(message);
      else if (message.type === MessageType.StorageAppend) node.appendWork.push(message);
      else node.applyWork.push(message);
    }
    if (!node.isAsync) node.rawNode.advance();
  }

  /** Delivers or drops; returns how many messages that were. */
  deliver(recipients: readonly Recipient[], type?: MessageType): number {
    let count = 0;
    for (const recipient of recipients) {
      const messages = this.messagesFor(recipient, type);
      const taken = new Set(messages);
      this.inFlight = this.inFlight.filter((message) => !taken.has(message));
      count += messages.length;
      for (const message of messages) this.deliverOne(message, recipient.drop);
    }
    return count;
  }

  private messagesFor({ id, drop }: Recipient, type?: MessageType): Message[] {
    return this.inFlight.filter((message) => {
      if (message.to !== id || (type !== undefined && message.type !== type)) return false;
      // What a replica tells itself does not cross the network, so it cannot get lost there.
      const isLocal = message.from === message.to || isLocalTarget(message.from);
      return !(drop && isLocal);
    });
  }

  private deliverOne(message: Message, drop: boolean): void {
    this.output.write(`${drop ? 'dropped: ' : ''}${describeMessage(message)}\n`);
    if (drop) return;
    try {
      this.node(message.to).rawNode.step(message);
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
      this.output.write(`${error.message}\n`);
    }
  }

  processAppendThread(id: NodeId): void {
    const node = this.node(id);
    this.processWork(node.appendWork.shift(), 'append', ({ term, vote, commit, ...message }) => {
      node.append({ term, vote, commit }, message.entries, message.snapshot);
    });
  }

  processApplyThread(id: NodeId): void {
    const node = this.node(id);
    this.processWork(node.applyWork.shift(), 'apply', (message) => node.apply(message.entries));
  }

  private processWork(
    work: Message | undefined,
    kind: 'append' | 'apply',
    perform: (message: Message) => void,
  ): void {
    if (work === undefined) {
      this.output.write(`no ${kind} work to perform`);
      return;
    }
    const message = { ...work, responses: [] };
    this.output.write(`Processing:\n${describeMessage(message)}\n`);
    perform(message);
    this.output.write('Responses:\n');
    for (const response of work.responses) {
      this.output.write(`${describeMessage(response)}\n`);
      this.queue(response);
    }
  }

  /** Runs `task` for each node, under a header if there are several. */
  forEachWithHeader(ids: readonly NodeId[], what: string, task: (id: NodeId) => void): void {
    for (const id of ids) {
      if (ids.length > 1) this.underHeader(id, what, () => task(id));
      else task(id);
    }
  }

  private underHeader(id: NodeId, what: string, task: () => void): void {
    this.output.write(`> ${id} ${what}\n`);
    this.output.indented(task);
  }

  /** Lets the nodes work until none of them has anything to do. */
  stabilize(ids: readonly NodeId[]): void {
    for (let round = 0; round < STABILIZE_ROUNDS_MAX; round++) {
      if (!this.stabilizeRound(ids)) return;
    }
    throw new Error('the group did not come to rest');
  }

  private stabilizeRound(ids: readonly NodeId[]): boolean {
    let worked = false;
    const work = (id: NodeId, what: string, task: () => void) => {
      worked = true;
      this.underHeader(id, what, task);
    };
    for (const id of ids) {
      if (this.node(id).rawNode.hasReady()) {
        work(id, 'handling Ready', () => this.processReady(id));
      }
    }
    for (const id of ids) {
      const recipient = { id, drop: false };
      if (this.messagesFor(recipient).length > 0) {
        work(id, 'receiving messages', () => this.deliver([recipient]));
      }
    }
    for (const id of ids) {
      const { appendWork } = this.node(id);
      if (appendWork.length === 0) continue;
      work(id, 'processing append thread', () => {
        while (appendWork.length > 0) this.processAppendThread(id);
      });
    }
    for (const id of ids) {
      const { applyWork } = this.node(id);
      if (applyWork.length === 0) continue;
      work(id, 'processing apply thread', () => {
        while (applyWork.length > 0) this.processApplyThread(id);
      });
    }
    return worked;
  }

  writeRaftState(): void {
    for (const { rawNode } of this.nodes) {
      const { id, softState, hardState, confState } = rawNode.status();
      const isVoter = [...confState.voters, ...confState.votersOutgoing].includes(id);
      this.output.write(
        `${id}: ${softState.state} (${isVoter ? 'Voter' : 'Non-Voter'}) ` +
          `Term:${hardState.term} Lead:${softState.lead}\n`,
      );
    }
  }

  /** Prints what the leader knows of each member; nothing on other nodes. */
  writeStatus(id: NodeId): void {
    const { progress, softState } = this.node(id).rawNode.status();
    if (softState.state !== StateType.Leader) return;
    for (const [member, each] of progress) {
      this.output.write(`${member}: ${each.toString()}\n`);
    }
  }
}
