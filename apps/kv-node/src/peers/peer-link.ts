/**
 * The way to one other node: a connection and a stream of frames on it, made again whenever they
 * break or fall silent.
 *
 *   connecting --accepted--> open --ended, broken, silent--> waiting --a while later--> connecting
 *        \--refused, too slow: the same; whoever watches is told of a refusal
 *
 * In: what the queue of frames takes. Out: frames on the stream. A connection whose pings are not
 * answered is given up, with everything on it: no attempt ever uses that of the one before.
 */
import {
  createGrpcClient,
  type ClientTlsOptions,
  type GrpcClient,
  type ReceivedMetadata,
} from '@flotilla/grpc';
import { type Message, type PassedAnswer, type PassedCall } from '@flotilla/raft';
import { FrameQueue, type FrameCounters } from './frame-queue.js';
import {
  helloMetadata,
  readHello,
  refusalOf,
  whyRefused,
  type PeerDirectory,
  type PeerIdentity,
  type Refusal,
} from './hello.js';
import { PEER_KEEPALIVE, PEER_RECEIVE_BYTES_MAX, peerPath } from './peer-server.js';

/** What may wait for a node unless the settings say otherwise. */
export const SEND_QUEUE_BYTES_MAX = 64 * 1024 * 1024;
const RECONNECT_MIN_MS = 50;
/** With the time of an attempt, what a path that works again may stay unused: 2 s. */
const RECONNECT_MAX_MS = 500;
/** How long one attempt may take until the other side has accepted. */
const CONNECT_TIMEOUT_MS = 1_500;

export interface LinkEvents {
  opened(node: number): void;
  closed(node: number): void;
  /** `by` says who refused: the other side, or this node what it found there. */
  refused(node: number, refusal: Refusal, by: 'them' | 'us'): void;
  /** A message of this group was dropped. */
  dropped(node: number, group: number): void;
}

export interface LinkOptions {
  readonly node: number;
  readonly address: string;
  readonly tls: ClientTlsOptions | undefined;
  readonly queueBytesMax: number;
  readonly random: () => number;
  readonly defer: (task: () => void) => void;
}

export interface LinkCounters extends FrameCounters {
  reconnects: number;
}

export class PeerLink {
  readonly client: GrpcClient;
  private readonly queue: FrameQueue;
  private attempts = 0;
  /** Ends the attempt that is made now, or the stream it has led to. */
  private attempt = new AbortController();
  private readonly stop = new AbortController();
  private readonly running: Promise<void>;

  constructor(
    private readonly options: LinkOptions,
    private readonly own: PeerIdentity,
    private readonly directory: PeerDirectory,
    private readonly events: LinkEvents,
    private readonly counters: LinkCounters,
  ) {
    this.client = createGrpcClient(`${options.tls ? 'https' : 'http'}://${options.address}`, {
      receiveBytesMax: PEER_RECEIVE_BYTES_MAX,
      reconnectMinMs: RECONNECT_MIN_MS,
      reconnectMaxMs: RECONNECT_MAX_MS,
      keepalive: PEER_KEEPALIVE,
      ...(options.tls && { tls: options.tls }),
    });
    this.queue = new FrameQueue(options.queueBytesMax, options.defer, counters);
    this.running = this.run();
  }

  get node(): number {
    return this.options.node;
  }

  get address(): string {
    return this.options.address;
  }

  get isOpen(): boolean {
    return this.queue.isOpen;
  }

  send(group: number, message: Message): void {
    if (!this.queue.message(group, message)) this.events.dropped(this.node, group);
  }

  /** False when it cannot leave: there is no stream, or too much waits already. */
  pass(call: PassedCall): boolean {
    return this.queue.call(call);
  }

  answer(answer: PassedAnswer): boolean {
    return this.queue.answer(answer);
  }

  /** Dropped if it cannot leave: a follower that was not told wakes the group. */
  quiesce(group: number, term: number, index: number): void {
    this.queue.quiesce(group, term, index);
  }

  /** Says that this node lives if nothing else was sent for so many ticks; called every tick. */
  beatAfter(ticks: number, draining: boolean): void {
    this.queue.beatAfter(ticks, draining);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.stop.abort();
    this.attempt.abort();
    this.client.close();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      this.attempt = new AbortController();
      try {
        await this.connect(this.attempt);
      } catch (error) {
        this.noteRefusal(error);
      }
      this.ended();
      await this.pause(signal);
    }
  }

  private noteRefusal(error: unknown): void {
    if (this.stop.signal.aborted) return;
    const theirs = refusalOf(error);
    if (theirs) this.events.refused(this.node, theirs, 'them');
    else if (error instanceof RefusedError) this.events.refused(this.node, error.refusal, 'us');
  }

  private async connect(attempt: AbortController): Promise<void> {
    const { signal } = attempt;
    const slow = setTimeout(() => attempt.abort(), CONNECT_TIMEOUT_MS);
    try {
      await this.client.waitForReady(CONNECT_TIMEOUT_MS);
      if (signal.aborted) return;
      let refusal: Refusal | undefined;
      const answers = this.client.bidi(peerPath('Connect'), this.queue.outgoing(signal), {
        metadata: helloMetadata(this.own, this.node),
        signal,
        onHeaders: (headers) => {
          refusal = this.whyNotThis(headers);
        },
      });
      const accepted = answers[Symbol.asyncIterator]();
      const first = await accepted.next();
      if (refusal) throw new RefusedError(refusal);
      if (first.done || signal.aborted) return;
      clearTimeout(slow);
      this.opened();
      // Nothing more is said on this side; it ends when the connection does.
      while (!(await accepted.next()).done);
    } finally {
      clearTimeout(slow);
    }
  }

  /** Whether the one who answers is the one that is meant. */
  private whyNotThis(headers: ReceivedMetadata): Refusal | undefined {
    const hello = readHello(headers);
    if (hello?.nodeId === this.node) return whyRefused(hello, this.own, this.directory);
    if (!hello) return undefined;
    const reason = `${this.address} is node ${hello.nodeId}, not node ${this.node}`;
    return { kind: 'target', reason };
  }

  private opened(): void {
    this.queue.begin();
    this.attempts = 0;
    this.counters.reconnects++;
    this.events.opened(this.node);
  }

  /** Ends what is left of an attempt: its writer, what waited for it, the connection. */
  private ended(): void {
    const wasOpen = this.queue.isOpen;
    this.attempt.abort();
    this.queue.end();
    this.client.reset();
    if (wasOpen) this.events.closed(this.node);
  }

  private pause(signal: AbortSignal): Promise<void> {
    const longest = Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** this.attempts++);
    const waitMs = longest * (0.5 + this.options.random() / 2);
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

class RefusedError extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.reason);
  }
}
