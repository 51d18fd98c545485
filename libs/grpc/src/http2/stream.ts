/**
 * One stream of a connection: its windows, and what waits to be sent on it.
 *
 *     idle -> open -> half closed (either side) -> closed
 *
 * Holds state alone; its connection moves the bytes.
 */

/** What comes after the last byte of DATA. */
export type StreamEnd = 'data' | (() => void);

export abstract class Http2Stream {
  /** The other end sends nothing more. */
  remoteEnded = false;
  /** Everything was said from here. */
  localEnded = false;
  closed = false;
  /** Bytes taken by whoever reads, not yet given back to the other end. */
  taken = 0;
  /** Waits for a window or for the socket; made when first needed. */
  queue: Buffer[] | undefined;
  queuedBytes = 0;
  /** Grows whenever something of the queue leaves. */
  piecesSent = 0;
  /** Set once nothing follows what is queued. */
  end: StreamEnd | undefined;
  onWritable: (() => void) | undefined;
  /** Since when nothing of the queue has left, as far as looks can tell. */
  private stuck: { readonly pieces: number; readonly sinceMs: number } | undefined;

  constructor(
    readonly id: number,
    public sendWindow: number,
    public receiveWindow: number,
  ) {}

  /** For how long nothing of the queue has left; asked from time to time. */
  stuckMs(nowMs: number): number {
    if (this.queuedBytes === 0) this.stuck = undefined;
    else if (this.stuck?.pieces !== this.piecesSent) {
      this.stuck = { pieces: this.piecesSent, sinceMs: nowMs };
    }
    return this.stuck === undefined ? 0 : nowMs - this.stuck.sinceMs;
  }

  /** Payload of a DATA frame, without padding. */
  abstract onData(bytes: Buffer, from: number, to: number, isLast: boolean): void;
  /** The stream was cut, by the other end or with its connection. Told once, not after its end. */
  abstract onReset(code: number, reason: string): void;
}
