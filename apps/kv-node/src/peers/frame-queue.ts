/**
 * What is to leave for one other node.
 *
 *   messages, calls, answers, quiesce, heartbeat --end of the turn--> frame --> the stream
 *
 * In: whatever a turn of the loop has for the node. Out: encoded frames, in order, as the stream
 * takes them. Nothing is kept while there is no stream, none is left for the next one, and what
 * waits stays within bounds, in bytes and in frames: the rest is refused, as the protocol repeats
 * what matters.
 */
import {
  encodeFrame,
  messageFrameBytes,
  type Message,
  type PassedAnswer,
  type PassedCall,
} from '@flotilla/raft';

/** A frame is cut when it is larger than this; a single message may be larger. */
export const FRAME_BYTES_MAX = 4 * 1024 * 1024;
/** Frames that may wait, however small: each costs more than its bytes. */
export const FRAMES_WAITING_MAX = 16_384;
/** What a passed call or an answer takes in a frame besides its bytes and texts, at most. */
const PASSED_OVERHEAD_BYTES = 64;
/** Three numbers with their tags, and the header around them. */
const QUIESCE_BYTES_MAX = 32;

export interface FrameCounters {
  framesOut: number;
  messagesOut: number;
  bytesOut: number;
  dropped: number;
}

export class FrameQueue {
  private open = false;
  private messages: { group: number; message: Message }[] = [];
  private quiesced: { group: number; term: number; index: number }[] = [];
  private calls: PassedCall[] = [];
  private answers: PassedAnswer[] = [];
  private heartbeat: { sequence: number; draining: boolean } | undefined;
  private gatheredBytes = 0;
  private frames: Uint8Array[] = [];
  private framesBytes = 0;
  private sequence = 0;
  private flushDue = false;
  private wake: (() => void) | undefined;
  /** Ticks since anything was sent. */
  private idleTicks = 0;

  constructor(
    private readonly bytesMax: number,
    private readonly defer: (task: () => void) => void,
    private readonly counters: FrameCounters,
  ) {}

  get isOpen(): boolean {
    return this.open;
  }

  /** What waits for the stream; beside it, the stream itself holds little. */
  get waitingBytes(): number {
    return this.gatheredBytes + this.framesBytes;
  }

  get waitingFrames(): number {
    return this.frames.length;
  }

  /** There is a stream that has been accepted. */
  begin(): void {
    this.open = true;
  }

  /** The stream has ended: forgets what waits. Idempotent. */
  end(): void {
    this.open = false;
    this.forgetGathered();
    this.frames = [];
    this.framesBytes = 0;
  }

  /** False when it was dropped: there is no stream, or too much waits already; so below. */
  message(group: number, message: Message): boolean {
    const bytes = messageFrameBytes(message);
    if (!this.hasRoomFor(bytes)) return this.drop();
    this.messages.push({ group, message });
    this.gather(bytes);
    return true;
  }

  call(call: PassedCall): boolean {
    const bytes = call.request.length + Buffer.byteLength(call.method) + PASSED_OVERHEAD_BYTES;
    if (!this.hasRoomFor(bytes)) return false;
    this.calls.push(call);
    this.gather(bytes);
    return true;
  }

  answer(answer: PassedAnswer): boolean {
    const bytes = answer.answer.length + Buffer.byteLength(answer.message) + PASSED_OVERHEAD_BYTES;
    if (!this.hasRoomFor(bytes)) return false;
    this.answers.push(answer);
    this.gather(bytes);
    return true;
  }

  quiesce(group: number, term: number, index: number): boolean {
    if (!this.hasRoomFor(QUIESCE_BYTES_MAX)) return this.drop();
    this.quiesced.push({ group, term, index });
    this.gather(QUIESCE_BYTES_MAX);
    return true;
  }

  /** One tick more: says that this node lives, unless something else did within `ticks`. */
  beatAfter(ticks: number, draining: boolean): void {
    if (++this.idleTicks < ticks) return;
    this.idleTicks = 0;
    this.beat(draining);
  }

  /** Never queues behind a frame that waits: that one says "alive" too, once it arrives. */
  beat(draining: boolean): void {
    if (!this.open || this.frames.length > 0) return;
    this.heartbeat = { sequence: ++this.sequence, draining };
    this.flushSoon();
  }

  /** The frames for one stream, until its signal says that it has ended. */
  async *outgoing(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    while (!signal.aborted) {
      const frame = this.frames.shift();
      if (!frame) {
        await this.more(signal);
        continue;
      }
      this.framesBytes -= frame.length;
      this.counters.framesOut++;
      this.counters.bytesOut += frame.length;
      yield frame;
    }
  }

  /** Resolves when a frame waits or the stream has ended. */
  private more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        signal.removeEventListener('abort', done);
        resolve();
      };
      signal.addEventListener('abort', done, { once: true });
      this.wake = done;
    });
  }

  private drop(): false {
    this.counters.dropped++;
    return false;
  }

  private hasRoomFor(bytes: number): boolean {
    if (!this.open || this.frames.length >= FRAMES_WAITING_MAX) return false;
    return this.waitingBytes + bytes <= this.bytesMax;
  }

  private gather(bytes: number): void {
    this.gatheredBytes += bytes;
    if (this.gatheredBytes > FRAME_BYTES_MAX) this.flush();
    else this.flushSoon();
  }

  private flushSoon(): void {
    if (this.flushDue) return;
    this.flushDue = true;
    this.defer(() => {
      this.flushDue = false;
      this.flush();
    });
  }

  private flush(): void {
    const { messages, heartbeat, quiesced: quiesce, calls, answers } = this;
    const isEmpty = messages.length + quiesce.length + calls.length + answers.length === 0;
    if (isEmpty && !heartbeat) return;
    this.forgetGathered();
    const frame = encodeFrame({ messages, heartbeat, quiesce, calls, answers });
    this.frames.push(frame);
    this.framesBytes += frame.length;
    this.counters.messagesOut += messages.length;
    this.idleTicks = 0;
    this.wake?.();
  }

  private forgetGathered(): void {
    this.messages = [];
    this.quiesced = [];
    this.calls = [];
    this.answers = [];
    this.heartbeat = undefined;
    this.gatheredBytes = 0;
  }
}
