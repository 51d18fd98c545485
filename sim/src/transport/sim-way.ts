/**
 * The way from one simulated node to another: it connects, greets, waits and connects again as the
 * gRPC one does, and sends what its queue gathers.
 */
import { GrpcStatusError, status, type CallOptions } from '@flotilla/grpc';
import {
  FrameQueue,
  readHello,
  whyRefused,
  type LinkCounters,
  type LinkEvents,
  type LinkOptions,
  type PeerDirectory,
  type PeerIdentity,
  type PeerWay,
} from '@flotilla/kv-node/simulation';
import { type Message, type PassedAnswer, type PassedCall } from '@flotilla/raft';
import { Connection, type TransportParts } from './sim-connection.js';
import { type SimListener } from './sim-listener.js';
import { helloOf, receivedMetadata } from './sim-metadata.js';

const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 500;
const CONNECT_TIMEOUT_MS = 1_500;

export class SimWay implements PeerWay {
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
    this.queue.beatAfter(ticks, draining);
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
