/**
 * The requests of a call that sends many: pulled from their source as fast as the server takes them.
 *
 *     source --pull--> pack --frame--> stream --nothing waits--> pull ...
 *
 * What was sent is kept, up to a bound, until the server answers: a call that the server never looked
 * at begins again on another stream. Must never pull again once the call is over.
 */
import { type MessageSource } from '../client.js';
import { type MessageEncoding } from '../encoding/encoding.js';
import { type Frame, frameBytes } from '../server/frames.js';
import { MessagePacker } from '../server/message-packing.js';
import { REPLAY_BYTES_MAX } from './client-limits.js';

/** The stream that takes the requests; another one after the call began again. */
export interface RequestStream {
  /** Sends a frame; false when something waits. */
  send(frame: Frame): boolean;
  end(): void;
  whenWritable(wake: () => void): void;
}

export class RequestPump {
  private stream: RequestStream | undefined;
  private mayWrite = false;
  private isOver = false;
  private hasBegun = false;
  private hasEnded = false;
  private replay: Frame[] | undefined = [];
  private replayBytes = 0;
  private wake: (() => void) | undefined;

  constructor(
    private readonly source: MessageSource,
    private readonly encoding: MessageEncoding,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Everything that was sent could be sent again. */
  get canReplay(): boolean {
    return this.replay !== undefined;
  }

  /** There is a stream, the first or another. */
  opened(stream: RequestStream): void {
    this.stream = stream;
    this.mayWrite = true;
    for (const frame of this.replay ?? []) this.write(frame);
    if (this.hasEnded) stream.end();
    if (this.hasBegun) this.awaken();
    else {
      this.hasBegun = true;
      this.run().catch(this.onError);
    }
  }

  /** The stream is gone; there may be another. */
  lost(): void {
    this.stream = undefined;
    this.mayWrite = false;
  }

  /** The server has begun to answer: nothing will be sent twice. */
  answered(): void {
    this.replay = undefined;
  }

  /** The call is over. */
  stop(): void {
    this.isOver = true;
    this.replay = undefined;
    this.stream = undefined;
    this.awaken();
  }

  private async run(): Promise<void> {
    const packer = new MessagePacker(this.encoding);
    for await (const message of this.source) {
      if (this.isOver) return;
      const packed = packer.pack(message);
      const frame = packed instanceof Promise ? await packed : packed;
      while (!this.mayWrite && !this.isOver) await this.writable();
      if (this.isOver) return;
      this.keep(frame);
      this.write(frame);
      while (!this.mayWrite && !this.isOver) await this.writable();
      if (this.isOver) return;
    }
    this.hasEnded = true;
    this.stream?.end();
  }

  private write(frame: Frame): void {
    const { stream } = this;
    if (stream === undefined || stream.send(frame)) return;
    this.mayWrite = false;
    stream.whenWritable(() => {
      if (this.stream !== stream) return;
      this.mayWrite = true;
      this.awaken();
    });
  }

  private keep(frame: Frame): void {
    if (this.replay === undefined) return;
    this.replay.push(frame);
    this.replayBytes += frameBytes(frame);
    if (this.replayBytes > REPLAY_BYTES_MAX) this.replay = undefined;
  }

  private writable(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }

  private awaken(): void {
    const { wake } = this;
    this.wake = undefined;
    wake?.();
  }
}
