/**
 * The way to one other node: a stream of frames that is made again whenever it breaks.
 *
 *   connecting --accepted--> open --ended, broken--> waiting --a while later--> connecting
 *        \--refused: the same, and whoever watches is told why
 *
 * In: messages, gathered until the turn of the loop ends. Out: frames, one a turn. While there is no
 * connection, and when more waits than the bound allows, messages are dropped: the protocol repeats
 * what matters.
 */
import { createGrpcJsClient, type ClientTlsOptions, type GrpcClient } from '@flotilla/grpc';
import {
  encodeFrame,
  messageFrameBytes,
  type Message,
  type PassedAnswer,
  type PassedCall,
} from '@flotilla/raft';
import {
  helloMetadata,
  readHello,
  refusalOf,
  whyRefused,
  type PeerDirectory,
  type PeerIdentity,
  type Refusal,
} from './hello.js';
import { PEER_RECEIVE_BYTES_MAX, peerPath } from './peer-server.js';

/** A frame is cut when it is larger than this; a single message may be larger. */
export const FRAME_BYTES_MAX = 4 * 1024 * 1024;
/** What may wait for a node unless the settings say otherwise. */
export const SEND_QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** What a passed call takes in a frame besides its bytes, at most. */
const PASSED_OVERHEAD_BYTES = 128;
const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 1_000;
/** How long one attempt to connect may take. */
const CONNECT_TIMEOUT_MS = 5_000;

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

interface Waiting {
  readonly group: number;
  readonly message: Message;
}

export interface LinkCounters {
  framesOut: number;
  messagesOut: number;
  bytesOut: number;
  dropped: number;
  reconnects: number;
}

export class PeerLink {
  readonly client: GrpcClient;
  private gathered: Waiting[] = [];
  private gatheredBytes = 0;
  private quiesced: { group: number; term: number; index: number }[] = [];
  private calls: PassedCall[] = [];
  private answers: PassedAnswer[] = [];
  private frames: Uint8Array[] = [];
  private queuedBytes = 0;
  private heartbeat: { sequence: number; draining: boolean } | undefined;
  private sequence = 0;
  private flushDue = false;
  private wakeWriter: (() => void) | undefined;
  private open = false;
  private attempts = 0;
  private readonly stop = new AbortController();
  private readonly running: Promise<void>;
  /** Ticks since anything was sent. */
  idleTicks = 0;

  constructor(
    private readonly options: LinkOptions,
    private readonly own: PeerIdentity,
    private readonly directory: PeerDirectory,
    private readonly events: LinkEvents,
    private readonly counters: LinkCounters,
  ) {
    this.client = createGrpcJsClient(`${options.tls ? 'https' : 'http'}://${options.address}`, {
      receiveBytesMax: PEER_RECEIVE_BYTES_MAX,
      reconnectMinMs: RECONNECT_MIN_MS,
      reconnectMaxMs: RECONNECT_MAX_MS,
      ...(options.tls && { tls: options.tls }),
    });
    this.running = this.run();
  }

  get node(): number {
    return this.options.node;
  }

  get address(): string {
    return this.options.address;
  }

  get isOpen(): boolean {
    return this.open;
  }

  send(group: number, message: Message): void {
    const bytes = messageFrameBytes(message);
    if (!this.hasRoomFor(bytes)) {
      this.counters.dropped++;
      this.events.dropped(this.node, group);
      return;
    }
    this.gathered.push({ group, message });
    this.joinFrame(bytes);
  }

  /** False when it cannot leave: there is no connection, or too much waits already. */
  pass(call: PassedCall): boolean {
    const bytes = call.request.length + PASSED_OVERHEAD_BYTES;
    if (!this.hasRoomFor(bytes)) return false;
    this.calls.push(call);
    this.joinFrame(bytes);
    return true;
  }

  answer(answer: PassedAnswer): boolean {
    const bytes = answer.answer.length + PASSED_OVERHEAD_BYTES;
    if (!this.hasRoomFor(bytes)) return false;
    this.answers.push(answer);
    this.joinFrame(bytes);
    return true;
  }

  quiesce(group: number, term: number, index: number): void {
    if (!this.open) return;
    this.quiesced.push({ group, term, index });
    this.flushSoon();
  }

  beat(draining: boolean): void {
    if (!this.open) return;
    this.heartbeat = { sequence: ++this.sequence, draining };
    this.flushSoon();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.stop.abort();
    this.wakeWriter?.();
    this.client.close();
    await this.running;
  }

  private hasRoomFor(bytes: number): boolean {
    const waiting = this.queuedBytes + this.gatheredBytes;
    return this.open && waiting + bytes <= this.options.queueBytesMax;
  }

  private joinFrame(bytes: number): void {
    this.gatheredBytes += bytes;
    if (this.gatheredBytes > FRAME_BYTES_MAX) this.flush();
    else this.flushSoon();
  }

  private flushSoon(): void {
    if (this.flushDue) return;
    this.flushDue = true;
    this.options.defer(() => this.flush());
  }

  private flush(): void {
    this.flushDue = false;
    const { gathered, heartbeat, quiesced, calls, answers } = this;
    const isEmpty = gathered.length + quiesced.length + calls.length + answers.length === 0;
    if (isEmpty && !heartbeat) return;
    this.gathered = [];
    this.gatheredBytes = 0;
    this.heartbeat = undefined;
    this.quiesced = [];
    this.calls = [];
    this.answers = [];
    if (!this.open) return;
    const frame = encodeFrame({ messages: gathered, heartbeat, quiesce: quiesced, calls, answers });
    this.frames.push(frame);
    this.queuedBytes += frame.length;
    this.counters.messagesOut += gathered.length;
    this.idleTicks = 0;
    this.wakeWriter?.();
  }

  private async run(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      try {
        await this.connect(signal);
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

  private async connect(signal: AbortSignal): Promise<void> {
    await this.client.waitForReady(CONNECT_TIMEOUT_MS);
    if (signal.aborted) return;
    let refusal: Refusal | undefined;
    const answers = this.client.bidi(peerPath('Connect'), this.outgoing(signal), {
      metadata: helloMetadata(this.own, this.node),
      signal,
      onHeaders: (headers) => {
        const hello = readHello(headers);
        if (hello?.nodeId === this.node) refusal = whyRefused(hello, this.own, this.directory);
        else if (hello) {
          const reason = `${this.address} is node ${hello.nodeId}, not node ${this.node}`;
          refusal = { kind: 'target', reason };
        }
      },
    });
    const accepted = answers[Symbol.asyncIterator]();
    const first = await accepted.next();
    if (refusal) throw new RefusedError(refusal);
    if (first.done) return;
    this.open = true;
    this.attempts = 0;
    this.counters.reconnects++;
    this.events.opened(this.node);
    // Nothing more is said on this side; it ends when the connection does.
    while (!(await accepted.next()).done);
  }

  /** Frames as the connection takes them; nothing before the other side has accepted. */
  private async *outgoing(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    while (!signal.aborted) {
      const frame = this.frames.shift();
      if (frame) {
        this.queuedBytes -= frame.length;
        this.counters.framesOut++;
        this.counters.bytesOut += frame.length;
        yield frame;
        continue;
      }
      await new Promise<void>((resolve) => {
        this.wakeWriter = resolve;
      });
      this.wakeWriter = undefined;
    }
  }

  private ended(): void {
    this.frames = [];
    this.queuedBytes = 0;
    this.gathered = [];
    this.gatheredBytes = 0;
    this.quiesced = [];
    this.calls = [];
    this.answers = [];
    if (!this.open) return;
    this.open = false;
    this.events.closed(this.node);
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
