/**
 * A client that sends any frames in any order, over `node:net`, and tells what frames come back.
 *
 * In: frames made by hand. Out: frames as they came, one by one. It writes header blocks as plain
 * literals and must never use this library's framing: what it is to find out is whether that is right.
 */
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { HpackDecoder } from '../../src/http2/hpack-decoder.js';

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;
export const WITH_PRIORITY = 0x20;

export const CODE = {
  none: 0,
  protocol: 1,
  flowControl: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  calm: 11,
} as const;

export interface Frame {
  type: number;
  flags: number;
  id: number;
  payload: Buffer;
}

export type Fields = readonly (readonly [name: string, value: string])[];

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const WAIT_MS = 20_000;

export const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'test'],
];

export function post(path: string, more: Fields = []): Fields {
  return [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'test'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ...more,
  ];
}

/** A header block of literals that nobody keeps. */
export function block(fields: Fields): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  let rest = bytes.length - 127;
  const length = [127];
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

export function frameBytes(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

export function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function settings(...entries: readonly (readonly [id: number, value: number])[]): Buffer {
  return Buffer.concat(
    entries.map(([id, value]) => Buffer.concat([number32(id).subarray(2), number32(value)])),
  );
}

/** A message of gRPC that is not packed. */
export function message(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(0), number32(bytes.length), bytes]);
}

export class RawConnection {
  /** Everything that came and was not asked for yet. */
  readonly frames: Frame[] = [];
  ended = false;
  private held: Buffer = Buffer.alloc(0);
  private readonly decoder = new HpackDecoder();
  private wake: (() => void) | undefined;

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => this.onData(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.ended = true;
      this.wake?.();
    });
  }

  /** A connection on which nothing was said. */
  static async bare(port: number): Promise<RawConnection> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    onTestFinished(() => {
      socket.destroy();
    });
    const connection = new RawConnection(socket);
    await new Promise((resolve) => socket.once('connect', resolve));
    return connection;
  }

  /** A connection after the exchange of settings. */
  static async open(port: number, payload: Buffer = Buffer.alloc(0)): Promise<RawConnection> {
    const connection = await RawConnection.bare(port);
    connection.raw(PREFACE);
    connection.send(SETTINGS, 0, 0, payload);
    await connection.until((frame) => frame.type === SETTINGS && frame.flags === 0);
    connection.send(SETTINGS, ACK, 0);
    await connection.until((frame) => frame.type === SETTINGS && frame.flags === ACK);
    return connection;
  }

  raw(bytes: Uint8Array | string): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  send(type: number, flags: number, id: number, payload: Uint8Array = Buffer.alloc(0)): void {
    this.raw(frameBytes(type, flags, id, payload));
  }

  headers(id: number, fields: Fields, flags = END_STREAM | END_HEADERS): void {
    this.send(HEADERS, flags, id, block(fields));
  }

  /** The next frame that is meant; those before it are dropped. Undefined when there is none. */
  async find(isMeant: (frame: Frame) => boolean): Promise<Frame | undefined> {
    const until = Date.now() + WAIT_MS;
    for (;;) {
      for (let next = this.frames.shift(); next !== undefined; next = this.frames.shift()) {
        if (isMeant(next)) return next;
      }
      if (this.ended || Date.now() >= until) return undefined;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, until - Date.now());
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async until(isMeant: (frame: Frame) => boolean): Promise<Frame> {
    const found = await this.find(isMeant);
    expect(found, 'the frame that was waited for').toBeDefined();
    return found ?? { type: -1, flags: 0, id: 0, payload: Buffer.alloc(0) };
  }

  /** A frame of this type on this stream. */
  async on(id: number, type: number): Promise<Frame> {
    return await this.until((frame) => frame.id === id && frame.type === type);
  }

  /** The headers of a stream. All header blocks have to be read in order. */
  async answer(id: number): Promise<Record<string, string>> {
    const frame = await this.on(id, HEADERS);
    const fields: Record<string, string> = {};
    this.decoder.decode(frame.payload, 0, frame.payload.length, {
      field: (name, value) => (fields[name] = value),
    });
    return fields;
  }

  async streamError(id: number, code: number): Promise<void> {
    const frame = await this.until(
      ({ id: on, type }) => (type === RST_STREAM && on === id) || type === GOAWAY,
    );
    const cut = {
      type: frame.type,
      code: frame.payload.readUInt32BE(frame.type === GOAWAY ? 4 : 0),
    };
    expect(cut).toEqual({ type: RST_STREAM, code });
    await this.works();
  }

  /** A GOAWAY with this code, and the end of the connection. */
  async connectionError(code: number): Promise<void> {
    const frame = await this.until(({ type }) => type === GOAWAY);
    expect(frame.payload.readUInt32BE(4)).toBe(code);
    await this.find(() => false);
    expect(this.ended).toBe(true);
  }

  /** The connection answers a ping. */
  async works(): Promise<void> {
    this.send(PING, 0, 0, Buffer.from('12345678'));
    await this.until(
      ({ type, flags, payload }) =>
        type === PING && flags === ACK && payload.toString() === '12345678',
    );
  }

  private onData(chunk: Buffer): void {
    this.held = Buffer.concat([this.held, chunk]);
    while (this.held.length >= 9) {
      const end = 9 + this.held.readUIntBE(0, 3);
      if (this.held.length < end) break;
      this.frames.push({
        type: this.held.readUInt8(3),
        flags: this.held.readUInt8(4),
        id: this.held.readUInt32BE(5),
        payload: this.held.subarray(9, end),
      });
      this.held = this.held.subarray(end);
    }
    this.wake?.();
  }
}
