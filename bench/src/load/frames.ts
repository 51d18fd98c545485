/**
 * Frames of HTTP/2 (RFC 9113): those that the load client sends, and a reader of those it gets.
 *
 * In: chunks of a socket. Out: calls of a `FrameSink`, in order. The payload of DATA is counted, not
 * looked at and not gathered: what an answer holds is checked by another client, before and after.
 */
export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;

export const FLAG = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const SETTING = { tableBytes: 1, push: 2, streamsMax: 3, window: 4 } as const;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const HEADER_BYTES = 9;
/** What both sides may send in one frame unless they say otherwise. */
export const PAYLOAD_BYTES_MAX = 16_384;
export const WINDOW_DEFAULT = 65_535;
export const WINDOW_MAX = 2 ** 31 - 1;

export interface FrameSink {
  onData(stream: number, bytes: number, flags: number): void;
  /** The payload is `chunk` from `from` to `to`, and is not kept. */
  onFrame(
    type: number,
    flags: number,
    stream: number,
    chunk: Buffer,
    from: number,
    to: number,
  ): void;
}

export class FrameReader {
  private rest: Buffer = Buffer.alloc(0);
  /** Bytes of DATA that are still to come. */
  private skip = 0;

  constructor(private readonly sink: FrameSink) {}

  read(received: Buffer): void {
    const skipped = Math.min(this.skip, received.length);
    this.skip -= skipped;
    let at = skipped;
    let chunk = received;
    if (this.rest.length > 0) {
      chunk = Buffer.concat([this.rest, received.subarray(skipped)]);
      this.rest = Buffer.alloc(0);
      at = 0;
    }
    while (chunk.length - at >= HEADER_BYTES) {
      const length = chunk.readUIntBE(at, 3);
      const type = chunk[at + 3] ?? 0;
      const flags = chunk[at + 4] ?? 0;
      const stream = chunk.readUInt32BE(at + 5) & 0x7fffffff;
      if (length > PAYLOAD_BYTES_MAX) throw new Error(`the server sent a frame of ${length} bytes`);
      const from = at + HEADER_BYTES;
      if (type === FRAME.data) {
        const has = Math.min(length, chunk.length - from);
        this.skip = length - has;
        at = from + has;
        this.sink.onData(stream, length, flags);
        continue;
      }
      if (chunk.length < from + length) break;
      at = from + length;
      this.sink.onFrame(type, flags, stream, chunk, from, at);
    }
    if (at < chunk.length) this.rest = Buffer.from(chunk.subarray(at));
  }
}

/** Writes a frame's header; returns where its payload begins. */
export function writeFrameHeader(
  target: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): number {
  target.writeUIntBE(length, at, 3);
  target[at + 3] = type;
  target[at + 4] = flags;
  target.writeUInt32BE(stream, at + 5);
  return at + HEADER_BYTES;
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + payload.length);
  bytes.set(payload, writeFrameHeader(bytes, 0, payload.length, type, flags, stream));
  return bytes;
}

export function windowUpdate(stream: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(FRAME.window, 0, stream, payload);
}

/** What a client says first: no pushes, and windows that never hold a server back. */
export function opening(): Buffer {
  const settings = Buffer.alloc(12);
  settings.writeUInt16BE(SETTING.push, 0);
  settings.writeUInt16BE(SETTING.window, 6);
  settings.writeUInt32BE(WINDOW_MAX, 8);
  return Buffer.concat([
    PREFACE,
    frame(FRAME.settings, 0, 0, settings),
    windowUpdate(0, WINDOW_MAX - WINDOW_DEFAULT),
  ]);
}

export function readSettings(chunk: Buffer, from: number, to: number): Map<number, number> {
  const settings = new Map<number, number>();
  for (let at = from; at + 6 <= to; at += 6) {
    settings.set(chunk.readUInt16BE(at), chunk.readUInt32BE(at + 2));
  }
  return settings;
}
