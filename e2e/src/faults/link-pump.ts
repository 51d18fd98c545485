/**
 * One direction of one connection between two nodes: bytes in, the same bytes out, when the link lets
 * them.
 *
 * The end of the source and its break travel like bytes: behind a silent cut nobody sees them. What is
 * held back is bounded; then the source is no longer read, as with a full window of TCP.
 */
import { type Socket } from 'node:net';

/** What a link does with bytes; shared by all connections that use it. */
export interface LinkState {
  isHeld: boolean;
  delayMs: number;
  /** Bytes held back in each direction of a connection, if another number than usual. */
  readonly heldBytesMax?: number;
}

const HELD_BYTES_MAX = 256 * 1024;

type Item = { readonly dueMs: number } & (
  { readonly chunk: Buffer } | { readonly end: 'closed' | 'broken' }
);

export class LinkPump {
  private readonly items: Item[] = [];
  private heldBytes = 0;
  private timer: NodeJS.Timeout | undefined;
  private isBlocked = false;

  constructor(
    private readonly source: Socket,
    private readonly sink: Socket,
    private readonly state: LinkState,
  ) {
    source.on('data', (chunk: Buffer) => this.take({ chunk, dueMs: this.dueMs() }));
    source.on('end', () => this.take({ end: 'closed', dueMs: this.dueMs() }));
    source.on('error', () => this.take({ end: 'broken', dueMs: this.dueMs() }));
    sink.on('drain', () => {
      this.isBlocked = false;
      this.move();
    });
  }

  /** Passes on what may leave; called again whenever the link changes. */
  move(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (!this.state.isHeld && !this.isBlocked) {
      const item = this.items[0];
      if (item === undefined) break;
      const waitMs = item.dueMs - performance.now();
      if (waitMs > 0) {
        this.timer = setTimeout(() => this.move(), waitMs);
        break;
      }
      this.items.shift();
      this.pass(item);
    }
    if (this.heldBytes < this.heldBytesMax) this.source.resume();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.items.length = 0;
  }

  private get heldBytesMax(): number {
    return this.state.heldBytesMax ?? HELD_BYTES_MAX;
  }

  private dueMs(): number {
    return performance.now() + this.state.delayMs;
  }

  private take(item: Item): void {
    this.items.push(item);
    if ('chunk' in item) {
      this.heldBytes += item.chunk.length;
      if (this.heldBytes >= this.heldBytesMax) this.source.pause();
    }
    if (this.items.length === 1) this.move();
  }

  private pass(item: Item): void {
    if ('chunk' in item) {
      this.heldBytes -= item.chunk.length;
      if (!this.sink.destroyed) this.isBlocked = !this.sink.write(item.chunk);
    } else if (item.end === 'closed') this.sink.end();
    else this.sink.resetAndDestroy();
  }
}
