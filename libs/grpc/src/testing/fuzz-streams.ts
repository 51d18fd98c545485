/**
 * Streams of bytes that a client might have sent, damaged.
 *
 * In: a seed and a number. Out: what one connection sends, in pieces, the same for the same numbers.
 * A stream begins as calls of all kinds that are in order; some of its frames are then dropped, doubled,
 * moved, or changed in length, type, flags, stream or payload, and some of its bytes are changed.
 */
import { FrameType, PREFACE, SettingId } from '../http2/constants.js';
import { HpackEncoder } from '../http2/hpack-encoder.js';
import { encodeSettings } from '../http2/settings.js';

/** The methods that the server under test has to have, by kind. */
export const FUZZ_METHODS = {
  unary: '/fuzz.v1.Fuzz/Unary',
  guarded: '/fuzz.v1.Guarded/Unary',
  serverStream: '/fuzz.v1.Fuzz/Expand',
  clientStream: '/fuzz.v1.Fuzz/Collect',
  bidi: '/fuzz.v1.Fuzz/Chat',
} as const;

interface FuzzFrame {
  type: number;
  flags: number;
  id: number;
  payload: Buffer;
  /** What the head says of the length, where it lies. */
  length: number | undefined;
}

const CALLS_MAX = 4;
const FRAME_CHANGES_MAX = 4;
const BYTE_CHANGES_MAX = 6;
const PIECES_MAX = 5;
/** Numbers that break things. */
const EDGES = [0, 1, 2, 3, 7, 0x7f, 0x80, 0xff, 0x3fff, 0x4000, 0x4001, 0xffff, 0x7fff_ffff];

/** Random numbers that a seed repeats (mulberry32). */
class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** An integer below `limit`. */
  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }

  of<T>(values: readonly [T, ...T[]]): T {
    return values[this.below(values.length)] ?? values[0];
  }

  edge(): number {
    return EDGES[this.below(EDGES.length)] ?? 0;
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.alloc(count);
    let at = 0;
    for (; at + 4 <= count; at += 4) bytes.writeUInt32LE(this.below(2 ** 32), at);
    for (; at < count; at++) bytes[at] = this.below(256);
    return bytes;
  }
}

/** What connection `number` of the run `seed` sends. */
export function fuzzStream(seed: number, number: number): Buffer[] {
  const dice = new Dice(
    Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ Math.imul(number, 0xc2b2_ae35),
  );
  const frames = calls(dice);
  const changes = dice.below(FRAME_CHANGES_MAX + 1);
  for (let change = 0; change < changes; change++) changeFrames(dice, frames);
  const preface = dice.chance(50) ? dice.bytes(dice.below(40)) : PREFACE;
  let bytes: Buffer = Buffer.concat([preface, ...frames.map(encode)]);
  if (changes === 0 || dice.chance(2)) bytes = changeBytes(dice, bytes);
  return cut(dice, bytes);
}

// ---- what is in order ----------------------------------------------------------------------------

function calls(dice: Dice): FuzzFrame[] {
  const encoder = new HpackEncoder();
  const frames = [frame(FrameType.Settings, 0, 0, someSettings(dice))];
  const count = 1 + dice.below(CALLS_MAX);
  for (let call = 0; call < count; call++) addCall(dice, encoder, frames, call * 2 + 1);
  return frames;
}

function addCall(dice: Dice, encoder: HpackEncoder, frames: FuzzFrame[], id: number): void {
  const path = dice.of([...Object.values(FUZZ_METHODS), '/no.Such/Method'] as [string]);
  encoder.begin();
  encoder.field(':method', dice.chance(20) ? 'GET' : 'POST', 'keep');
  encoder.field(':scheme', 'http', 'keep');
  encoder.field(':path', path, 'keep');
  encoder.field('content-type', 'application/grpc', 'keep');
  encoder.field('te', 'trailers', 'keep');
  if (dice.chance(4)) encoder.field('grpc-timeout', `${dice.below(500)}m`, 'pass');
  if (dice.chance(8)) encoder.field('grpc-encoding', dice.of(['gzip', 'snappy', 'zstd']), 'pass');
  if (dice.chance(6)) encoder.field('x', dice.bytes(dice.below(300)).toString('latin1'), 'keep');
  const block = Buffer.from(encoder.end());
  const split = dice.chance(5) ? dice.below(block.length) : block.length;
  const ends = dice.chance(12) ? 1 : 0;
  frames.push(
    frame(FrameType.Headers, ends | (split < block.length ? 0 : 4), id, block.subarray(0, split)),
  );
  if (split < block.length) {
    frames.push(frame(FrameType.Continuation, 4, id, block.subarray(split)));
  }
  const messages = 1 + dice.below(3);
  for (let at = 0; at < messages && ends === 0; at++) {
    const last = at === messages - 1 && !dice.chance(8) ? 1 : 0;
    frames.push(frame(FrameType.Data, last, id, someMessage(dice)));
  }
  if (dice.chance(5))
    frames.push(frame(FrameType.WindowUpdate, 0, dice.chance(2) ? 0 : id, number32(dice.edge())));
  if (dice.chance(8)) frames.push(frame(FrameType.RstStream, 0, id, number32(8)));
  if (dice.chance(8)) frames.push(frame(FrameType.Ping, 0, 0, dice.bytes(8)));
}

function someMessage(dice: Dice): Buffer {
  const body = dice.bytes(dice.chance(6) ? 1000 + dice.below(3000) : dice.below(100));
  const head = Buffer.alloc(5);
  head[0] = dice.chance(10) ? 1 : 0;
  head.writeUInt32BE(dice.chance(20) ? dice.edge() : body.length, 1);
  return Buffer.concat([head, body]);
}

function someSettings(dice: Dice): Buffer {
  const ids = Object.values(SettingId);
  const count = dice.below(4);
  return encodeSettings(
    Array.from({ length: count }, () => [dice.of(ids as unknown as [number]), dice.edge()]),
  );
}

function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function frame(type: number, flags: number, id: number, payload: Buffer): FuzzFrame {
  return { type, flags, id, payload, length: undefined };
}

function encode({ type, flags, id, payload, length }: FuzzFrame): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length ?? payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

// ---- what is not ---------------------------------------------------------------------------------

function changeFrames(dice: Dice, frames: FuzzFrame[]): void {
  const at = dice.below(frames.length);
  const target = frames[at];
  if (target === undefined) return;
  switch (dice.below(10)) {
    case 0:
      frames.splice(at, 1);
      if (frames.length === 0) frames.push(target);
      return;
    case 1:
      frames.splice(
        dice.below(frames.length),
        0,
        ...Array<FuzzFrame>(1 + dice.below(20)).fill(target),
      );
      return;
    case 2:
      target.type = dice.below(12);
      return;
    case 3:
      target.flags = dice.below(256);
      return;
    case 4:
      target.id = dice.chance(2) ? dice.edge() : dice.below(12);
      return;
    case 5:
      target.length = dice.chance(2) ? dice.edge() & 0xff_ffff : dice.below(64);
      return;
    case 6:
      target.payload = changeBytes(dice, target.payload);
      return;
    case 7:
      target.payload = dice.bytes(dice.below(80));
      return;
    case 8:
      frames.splice(
        at,
        0,
        frame(dice.below(12), dice.below(64), dice.below(10), dice.bytes(dice.below(20))),
      );
      return;
    default:
      frames.splice(dice.below(frames.length), 0, ...frames.splice(at, 1));
  }
}

function changeBytes(dice: Dice, bytes: Buffer): Buffer {
  let changed: Buffer = Buffer.from(bytes);
  for (let change = dice.below(BYTE_CHANGES_MAX); change >= 0 && changed.length > 0; change--) {
    const at = dice.below(changed.length);
    const kind = dice.below(5);
    if (kind === 0) changed[at] = (changed[at] ?? 0) ^ (1 << dice.below(8));
    else if (kind === 1) changed[at] = dice.edge();
    else if (kind === 2) changed = changed.subarray(0, at);
    else if (kind === 3) {
      const parts = [changed.subarray(0, at), dice.bytes(dice.below(12)), changed.subarray(at)];
      changed = Buffer.concat(parts);
    } else {
      const from = dice.below(changed.length);
      const piece = changed.subarray(from, from + dice.below(64));
      changed = Buffer.concat([changed.subarray(0, at), piece, changed.subarray(at)]);
    }
  }
  return changed;
}

function cut(dice: Dice, bytes: Buffer): Buffer[] {
  if (!dice.chance(3)) return [bytes];
  const pieces: Buffer[] = [];
  let from = 0;
  for (let piece = dice.below(PIECES_MAX); piece > 0; piece--) {
    const to = from + dice.below(bytes.length - from + 1);
    pieces.push(bytes.subarray(from, to));
    from = to;
  }
  return [...pieces, bytes.subarray(from)];
}
