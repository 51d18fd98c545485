/**
 * A node's peer network and server on real sockets, with nothing behind them: frames are kept to be
 * looked at, and each passed call is answered with its own bytes.
 */
import { MessageType, type Message, type PeerFrame } from '@flotilla/raft';
import { type KnownNode, type PeerIdentity, type Refusal } from '../hello.js';
import { grpcTransport } from '../peer-transport.js';
import { PeerNetwork } from '../peer-network.js';
import { PeerServer, type PeerHandlers } from '../peer-server.js';

export const quiet = { error: () => undefined, warn: () => undefined, info: () => undefined };
const unused = () => Promise.reject(new Error('not asked for here'));

export function message(to: number, from: number, index = 1, bytes = 10): Message {
  return {
    type: MessageType.App,
    to,
    from,
    term: 1,
    logTerm: 1,
    index,
    entries: [{ term: 1, index: index + 1, type: 0, data: Buffer.alloc(bytes, 'x') }],
    commit: 0,
    vote: 0,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: undefined,
    responses: [],
  };
}

const SILENT_TICKS = 40;
/** For tests in which nobody falls silent, however busy the machine is. */
export const NEVER_SILENT = { silentTicks: 1_000_000 };

export interface TestNodeOptions {
  readonly queueBytesMax?: number;
  /** After how many ticks a node that says nothing is told of as silent. */
  readonly silentTicks?: number;
}

export class TestNode {
  readonly known = new Map<number, KnownNode>();
  readonly frames: { from: number; frame: PeerFrame }[] = [];
  readonly events: string[] = [];
  readonly refusals: { node: number; refusal: Refusal; by: string }[] = [];
  readonly dropped: number[] = [];
  readonly own: PeerIdentity;
  readonly network: PeerNetwork;
  server: PeerServer;
  private ticker: NodeJS.Timeout | undefined;

  constructor(
    readonly id: number,
    readonly port: number,
    fields: Partial<PeerIdentity> = {},
    { queueBytesMax = 0, silentTicks = SILENT_TICKS }: TestNodeOptions = {},
  ) {
    const identity = `identity-${id}`;
    this.own = {
      clusterName: 'c',
      clusterId: '',
      nodeId: id,
      identity,
      joined: false,
      ...fields,
    };
    this.network = new PeerNetwork(
      this.own,
      this.directory(),
      {
        transport: grpcTransport('native'),
        tls: undefined,
        queueBytesMax,
        heartbeatTicks: 4,
        silentTicks,
        random: Math.random,
        defer: (task) => void setImmediate(task),
      },
      {
        up: (node) => this.events.push(`up ${node}`),
        down: (node, cause) => this.events.push(`down ${node} ${cause}`),
        refused: (node, refusal, by) => this.refusals.push({ node, refusal, by }),
        dropped: (_node, group) => this.dropped.push(group),
        hasInbound: (node) => this.server.isOpenFrom(node),
      },
    );
    this.server = this.makeServer();
  }

  makeServer(): PeerServer {
    const handlers: PeerHandlers = {
      frame: (from, frame) => {
        this.network.heard(from, frame.heartbeat?.draining);
        this.frames.push({ from, frame });
        for (const answer of frame.answers) this.network.answered(from, answer);
        for (const { id, request } of frame.calls) {
          const answer = { index: 7, code: 0, message: '', notExecuted: false };
          this.network.answer(from, { id, answer: request, ...answer });
        }
      },
      inbound: (from, isOpen) => this.network.inbound(from, isOpen),
      readSnapshot: () => {
        throw new Error('not asked for here');
      },
      callStream: unused,
      awaitCatalog: unused,
      refused: () => undefined,
    };
    return new PeerServer('native', this.own, this.directory(), handlers, quiet);
  }

  async start(): Promise<void> {
    await this.server.listen(`127.0.0.1:${this.port}`, undefined);
    this.network.refresh();
    this.ticker = setInterval(() => this.network.tick(performance.now()), 50);
  }

  get messages(): Message[] {
    return this.frames.flatMap(({ frame }) => frame.messages.map((each) => each.message));
  }

  /** Sends a message; false if it was dropped. */
  send(to: number): boolean {
    const { dropped } = this.network.counters;
    this.network.send(7, message(to, this.id));
    return this.network.counters.dropped === dropped;
  }

  async close(): Promise<void> {
    clearInterval(this.ticker);
    await Promise.all([this.network.close(), this.server.close(0)]);
  }

  private directory() {
    return { find: (id: number) => this.known.get(id), others: () => this.known.keys() };
  }
}

/** Makes two nodes known to each other. */
export function introduce(a: TestNode, b: TestNode): void {
  const rest = { identity: '', removed: false, joining: false };
  a.known.set(b.id, { address: `127.0.0.1:${b.port}`, ...rest });
  b.known.set(a.id, { address: `127.0.0.1:${a.port}`, ...rest });
}
