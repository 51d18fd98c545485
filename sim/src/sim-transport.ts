/**
 * Frames and calls between simulated nodes: the transport that a node gets in place of gRPC.
 *
 *   SimWay --hello--> SimListener          checked by both sides, as over gRPC
 *      frame: encoded, carried, decoded; then each message of the protocol on its own, so that it is
 *             lost, comes twice or late; calls and answers come once, in order, or not at all
 *
 * A connection ends when a process dies and its machine lives, when chance resets it, and when one
 * of its directions has been dead for a while.
 */
import {
  GrpcStatusError,
  status,
  type CallContext,
  type CallOptions,
  type ReceivedMetadata,
} from '@flotilla/grpc';
import {
  FrameQueue,
  helloMetadata,
  peerPath,
  readHello,
  refusalError,
  whyRefused,
  type Hello,
  type LinkCounters,
  type LinkEvents,
  type LinkOptions,
  type PeerDirectory,
  type PeerHandlers,
  type PeerIdentity,
  type PeerListener,
  type PeerTransport,
  type PeerWay,
} from '@flotilla/kv-node/simulation';
import { peerV1 } from '@flotilla/proto';
import {
  decodeFrame,
  type Message,
  type PassedAnswer,
  type PassedCall,
  type PeerFrame,
} from '@flotilla/raft';
import { type SimRandom, type SimWorld } from '@flotilla/raft/testing';
import { type SimNetwork } from './sim-network.js';
import { type SimProcess } from './sim-process.js';

const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 500;
const CONNECT_TIMEOUT_MS = 1_500;
/** A connection whose way is cut in one direction ends after this. */
const KEEPALIVE_MS = 2_000;
const KEEPALIVE_LOOK_MS = 500;

export interface TransportParts {
  readonly world: SimWorld;
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly process: SimProcess;
}

/** The transport of one process. */
export function simTransport(
  parts: TransportParts,
): PeerTransport & { end(silently: boolean): void } {
  const ways: SimWay[] = [];
  let listener: SimListener | undefined;
  return {
    connect: (options, own, directory, events, counters) => {
      const way = new SimWay(parts, options, own, directory, events, counters);
      ways.push(way);
      return way;
    },
    listener: (own, directory, handlers) => {
      listener = new SimListener(parts, own, directory, handlers);
      return listener;
    },
    end: (silently) => {
      for (const way of ways) way.processEnded(silently);
      listener?.processEnded(silently);
    },
  };
}

/** One connection, seen from both ends. */
class Connection {
  isOpen = true;
  /** Nothing overtakes what was sent before. */
  private lastArrivalMs = 0;

  constructor(
    private readonly parts: TransportParts,
    readonly way: SimWay,
    readonly listener: SimListener,
    readonly hello: Hello,
  ) {
    this.watch();
    parts.network.track(this);
  }

  /** Both ends hear of it, unless the machine of one is gone or the way there is cut. */
  end(by: 'way' | 'listener', silently: boolean): void {
    if (!this.isOpen) return;
    if (silently) return;
    this.isOpen = false;
    const { network } = this.parts;
    const [from, to] = [this.way.from, this.way.node];
    if (by === 'way') network.carry(from, to, () => this.listener.lost(this));
    else network.carry(to, from, () => this.way.lost(this));
  }

  /** Both ends notice at once. */
  break(): void {
    this.isOpen = false;
    this.parts.network.untrack(this);
    this.way.lost(this);
    this.listener.lost(this);
  }

  carryFrame(bytes: Uint8Array): void {
    const { network } = this.parts;
    const { from, node: to } = this.way;
    this.lastArrivalMs = network.carry(
      from,
      to,
      () => this.arrive(decodeFrame(bytes)),
      this.lastArrivalMs,
    );
  }

  private arrive(frame: PeerFrame): void {
    const { network } = this.parts;
    const { from, node: to } = this.way;
    const empty: PeerFrame = { ...frame, messages: [], quiesce: [], calls: [], answers: [] };
    this.listener.frame(this, { ...empty, calls: frame.calls, answers: frame.answers });
    const withoutBeat: PeerFrame = { ...empty, heartbeat: undefined };
    for (const message of frame.messages) {
      const arrive = () => this.listener.frame(this, { ...withoutBeat, messages: [message] });
      network.carryMessage(from, to, arrive);
    }
    for (const each of frame.quiesce) {
      const arrive = () => this.listener.frame(this, { ...withoutBeat, quiesce: [each] });
      network.carryMessage(from, to, arrive);
    }
  }

  /** What keepalives of a real connection notice. */
  private watch(): void {
    const { world, network } = this.parts;
    world.at(KEEPALIVE_LOOK_MS, () => {
      const { from, node: to } = this.way;
      const isHeld = this.way.holds(this) || this.listener.holds(this);
      if (!isHeld) return network.untrack(this);
      const since = Math.min(
        network.cutSinceMs(from, to) ?? Infinity,
        network.cutSinceMs(to, from) ?? Infinity,
        this.way.endedAtMs,
        this.listener.endedAtMs,
      );
      if (world.nowMs - since >= KEEPALIVE_MS) this.break();
      else this.watch();
    });
  }
}

export class SimListener implements PeerListener {
  framesIn = 0;
  messagesIn = 0;
  bytesIn = 0;
  readonly forged = 0;
  endedAtMs = Infinity;
  private readonly inbound = new Map<number, Set<Connection>>();
  private address = '';
  private closed = false;

  constructor(
    private readonly parts: TransportParts,
    readonly own: PeerIdentity,
    readonly directory: PeerDirectory,
    private readonly handlers: PeerHandlers,
  ) {}

  async listen(hostPort: string): Promise<string> {
    this.address = hostPort;
    this.parts.network.listen(hostPort, this);
    return hostPort;
  }

  isOpenFrom(node: number): boolean {
    return (this.inbound.get(node)?.size ?? 0) > 0;
  }

  async close(): Promise<void> {
    this.closed = true;
    this.parts.network.unlisten(this.address, this);
    this.endAll(false);
  }

  processEnded(silently: boolean): void {
    this.closed = true;
    this.endedAtMs = this.parts.world.nowMs;
    this.parts.network.unlisten(this.address, this);
    this.endAll(silently);
  }

  enter(task: () => void): void {
    this.parts.process.enter(() => {
      if (!this.closed) task();
    });
  }

  /** Refuses a hello, or takes the connection that `connect` makes. */
  accept(hello: Hello | undefined, connect: () => Connection): Error | undefined {
    const refusal = whyRefused(hello, this.own, this.directory);
    if (refusal || !hello) {
      if (refusal) this.handlers.refused(refusal, this.address);
      return refusalError(refusal ?? { kind: 'malformed', reason: 'no hello' });
    }
    const connections = this.inbound.get(hello.nodeId) ?? new Set();
    this.inbound.set(hello.nodeId, connections);
    connections.add(connect());
    if (connections.size === 1) this.handlers.inbound(hello.nodeId, true);
    return undefined;
  }

  frame(connection: Connection, frame: PeerFrame): void {
    this.enter(() => {
      if (!this.holds(connection)) return;
      const from = connection.hello.nodeId;
      if (this.directory.find(from)?.removed !== false) {
        const refusal = whyRefused(connection.hello, this.own, this.directory);
        if (refusal) return this.refuse(connection, refusalError(refusal));
      }
      this.framesIn++;
      this.messagesIn += frame.messages.length;
      this.handlers.frame(from, frame);
    });
  }

  holds(connection: Connection): boolean {
    return this.inbound.get(connection.hello.nodeId)?.has(connection) ?? false;
  }

  lost(connection: Connection): void {
    this.parts.process.enter(() => {
      const { nodeId } = connection.hello;
      const connections = this.inbound.get(nodeId);
      if (!connections?.delete(connection)) return;
      if (connections.size === 0) this.handlers.inbound(nodeId, false);
    });
  }

  async call(path: string, bytes: Uint8Array, hello: Hello | undefined): Promise<Uint8Array> {
    const refusal = whyRefused(hello, this.own, this.directory);
    if (refusal || !hello) throw refusalError(refusal ?? { kind: 'malformed', reason: 'no hello' });
    const request = Buffer.from(bytes);
    if (path === peerPath('ReadSnapshot')) {
      const wanted = peerV1.SnapshotRequest.decode(request);
      const chunk = this.handlers.readSnapshot(hello.nodeId, wanted);
      return peerV1.SnapshotChunk.encode(chunk).finish();
    }
    if (path === peerPath('AwaitCatalog')) {
      const { index } = peerV1.AwaitCatalogRequest.decode(request);
      await this.handlers.awaitCatalog(Number(index), noContext(path));
      return peerV1.AwaitCatalogResponse.encode({}).finish();
    }
    throw new GrpcStatusError(status.UNIMPLEMENTED, `${path} is not simulated`);
  }

  private refuse(connection: Connection, error: Error): void {
    const { way } = connection;
    this.parts.network.carry(way.node, way.from, () => way.refused(connection, error));
    this.lost(connection);
  }

  private endAll(silently: boolean): void {
    for (const connections of this.inbound.values()) {
      for (const connection of connections) connection.end('listener', silently);
    }
    if (!silently) this.inbound.clear();
  }
}

class SimWay implements PeerWay {
  endedAtMs = Infinity;
  readonly client = {
    unary: (path: string, request: Uint8Array, options: CallOptions = {}) =>
      this.unary(path, request, options),
    serverStream: (path: string): AsyncIterable<Buffer> => {
      throw new GrpcStatusError(status.UNAVAILABLE, `${path} is not simulated`);
    },
  };
  private connection: Connection | undefined;
  private attempts = 0;
  private attempt = 0;
  private closed = false;
  private writer = new AbortController();
  private readonly queue: FrameQueue;

  constructor(
    private readonly parts: TransportParts,
    private readonly options: LinkOptions,
    private readonly own: PeerIdentity,
    private readonly directory: PeerDirectory,
    private readonly events: LinkEvents,
    private readonly counters: LinkCounters,
  ) {
    this.queue = new FrameQueue(options.queueBytesMax, options.defer, counters);
    parts.process.schedule(0, () => this.connect());
  }

  get node(): number {
    return this.options.node;
  }

  get from(): number {
    return this.own.nodeId;
  }

  get address(): string {
    return this.options.address;
  }

  get isOpen(): boolean {
    return this.connection !== undefined;
  }

  holds(connection: Connection): boolean {
    return this.connection === connection;
  }

  send(group: number, message: Message): void {
    if (!this.queue.message(group, message)) this.events.dropped(this.node, group);
  }

  pass(call: PassedCall): boolean {
    return this.queue.call(call);
  }

  answer(answer: PassedAnswer): boolean {
    return this.queue.answer(answer);
  }

  quiesce(group: number, term: number, index: number): void {
    this.queue.quiesce(group, term, index);
  }

  beatAfter(ticks: number, draining: boolean): void {
    if (++this.queue.idleTicks < ticks) return;
    this.queue.idleTicks = 0;
    this.queue.beat(draining);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.drop();
  }

  processEnded(silently: boolean): void {
    this.closed = true;
    this.endedAtMs = this.parts.world.nowMs;
    this.connection?.end('way', silently);
  }

  lost(connection: Connection): void {
    this.parts.process.enter(() => {
      if (this.connection !== connection) return;
      this.connection = undefined;
      this.ended();
      this.events.closed(this.node);
      this.connectLater();
    });
  }

  refused(connection: Connection, error: Error): void {
    this.parts.process.enter(() => {
      this.noteRefusal(error, 'them');
      this.lost(connection);
    });
  }

  private drop(): void {
    const { connection } = this;
    this.connection = undefined;
    this.ended();
    connection?.end('way', false);
    if (connection) this.events.closed(this.node);
  }

  private connect(): void {
    if (this.closed) return;
    const { world, network, process } = this.parts;
    const attempt = ++this.attempt;
    const isOver = () => this.closed || attempt !== this.attempt;
    process.schedule(CONNECT_TIMEOUT_MS, () => {
      if (!isOver() && !this.isOpen) this.connectLater();
    });
    const { from, node } = this;
    network.carry(from, node, () => {
      const target = network.at(this.address);
      const back = (task: () => void) =>
        network.carry(node, from, () => process.enter(() => isOver() || task()));
      if (!target) {
        back(() => this.connectLater());
        return;
      }
      target.enter(() => {
        let made: Connection | undefined;
        const hello = helloOf(this.own, node);
        const refusal = target.accept(hello, () => {
          made = new Connection(
            { world, network, process, random: this.parts.random },
            this,
            target,
            hello,
          );
          return made;
        });
        back(() => this.greeted(target, made, refusal));
      });
    });
  }

  private greeted(
    target: SimListener,
    made: Connection | undefined,
    refusal: Error | undefined,
  ): void {
    if (refusal || !made) {
      this.noteRefusal(refusal, 'them');
      return this.connectLater();
    }
    const theirs = helloOf(target.own, this.from);
    const reason =
      theirs.nodeId === this.node
        ? whyRefused(theirs, this.own, this.directory)
        : { kind: 'target' as const, reason: `${this.address} is node ${theirs.nodeId}` };
    if (reason) {
      this.events.refused(this.node, reason, 'us');
      made.end('way', false);
      return this.connectLater();
    }
    if (!made.isOpen) return this.connectLater();
    this.connection = made;
    this.writer = new AbortController();
    this.queue.begin();
    void this.write(made, this.writer.signal);
    this.attempts = 0;
    this.counters.reconnects++;
    this.events.opened(this.node);
  }

  private noteRefusal(error: Error | undefined, by: 'them'): void {
    const kind =
      error instanceof GrpcStatusError ? error.metadata?.['flotilla-refused'] : undefined;
    if (error && typeof kind === 'string') {
      this.events.refused(this.node, { kind: kind as 'identity', reason: error.message }, by);
    }
  }

  private connectLater(): void {
    this.attempt++;
    const longest = Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** this.attempts++);
    const pauseMs = longest * (0.5 + this.parts.random.next() / 2);
    this.parts.process.schedule(pauseMs, () => this.connect());
  }

  /** Frames leave as they come: a simulated connection takes everything. */
  private async write(connection: Connection, signal: AbortSignal): Promise<void> {
    for await (const frame of this.queue.outgoing(signal)) {
      this.counters.framesOut++;
      this.counters.bytesOut += frame.length;
      connection.carryFrame(frame);
    }
  }

  private ended(): void {
    this.writer.abort();
    this.queue.end();
  }

  private unary(path: string, request: Uint8Array, options: CallOptions): Promise<Buffer> {
    const { network, process } = this.parts;
    const { from, node } = this;
    const hello = readHello(receivedMetadata(options.metadata ?? {}));
    return new Promise((resolve, reject) => {
      const settle = (task: () => void) => {
        cancel();
        options.signal?.removeEventListener('abort', aborted);
        task();
      };
      const fail = (error: Error) => settle(() => reject(error));
      const aborted = () => fail(new GrpcStatusError(status.CANCELLED, 'cancelled'));
      const back = (task: () => void) =>
        void network.carry(node, from, () => process.enter(() => settle(task)));
      const late = () => fail(new GrpcStatusError(status.DEADLINE_EXCEEDED, 'deadline exceeded'));
      const cancel = process.schedule(options.deadlineMs ?? Infinity, late);
      options.signal?.addEventListener('abort', aborted, { once: true });
      network.carry(from, node, () => {
        const target = network.at(this.address);
        const gone = new GrpcStatusError(status.UNAVAILABLE, `node ${node} does not answer`);
        if (!target) return back(() => reject(gone));
        target.enter(() => {
          target.call(path, request, hello).then(
            (answer) => back(() => resolve(Buffer.from(answer))),
            (error: Error) => back(() => reject(error)),
          );
        });
      });
    });
  }
}

/** What a process says of itself, as the other side reads it. */
function helloOf(own: PeerIdentity, to: number): Hello {
  const hello = readHello(receivedMetadata(helloMetadata(own, to)));
  if (!hello) throw new Error('a hello cannot be read by its own side');
  return hello;
}

function receivedMetadata(entries: Readonly<Record<string, unknown>>): ReceivedMetadata {
  const get = (name: string): string | undefined => {
    const value = entries[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    get,
    getAll: (name) => [get(name)].filter((value) => value !== undefined),
    names: () => Object.keys(entries),
  };
}

const NEVER = new AbortController().signal;

/** A call as a handler sees it when nobody leaves and nobody sends metadata. */
export function noContext(path: string, deadline?: number): CallContext {
  return {
    path,
    peer: 'simulation',
    deadline,
    metadata: receivedMetadata({}),
    cancelled: false,
    signal: NEVER,
    setHeader: () => undefined,
    setTrailer: () => undefined,
  };
}
