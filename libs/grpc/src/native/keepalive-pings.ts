/**
 * When one end of a connection pings the other, and when it takes the other for gone.
 *
 * Must never read a clock: it is told the time. Everything that comes proves that the other end lives.
 */
import { type KeepaliveOptions } from '../keepalive.js';

const PING_BYTES = 8;

export class KeepalivePings {
  private heardMs: number;
  private sentMs: number | undefined;
  private sequence = 0;

  constructor(
    private readonly options: KeepaliveOptions | undefined,
    nowMs: number,
  ) {
    this.heardMs = nowMs;
  }

  /** Something came. */
  heard(nowMs: number): void {
    this.heardMs = nowMs;
  }

  /** The answer to a ping came; one to another ping says nothing more than that. */
  answered(payload: Buffer, nowMs: number): void {
    this.heardMs = nowMs;
    if (payload.readUInt32BE(4) === this.sequence) this.sentMs = undefined;
  }

  /** A ping to send now, `lost` when the last was not answered in time, undefined if nothing is due. */
  look(nowMs: number): Buffer | 'lost' | undefined {
    if (this.options === undefined) return undefined;
    const { timeMs, timeoutMs } = this.options;
    if (this.sentMs !== undefined) {
      if (this.heardMs > this.sentMs) this.sentMs = undefined;
      else return nowMs - this.sentMs >= timeoutMs ? 'lost' : undefined;
    }
    if (nowMs - this.heardMs < timeMs) return undefined;
    this.sentMs = nowMs;
    const ping = Buffer.alloc(PING_BYTES);
    ping.writeUInt32BE(++this.sequence, 4);
    return ping;
  }
}
