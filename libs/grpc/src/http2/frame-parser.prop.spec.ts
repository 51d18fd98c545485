import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Flag, FRAME_SIZE_DEFAULT, FrameType } from './constants.js';
import { FrameParser } from './frame-parser.js';

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

const size = fc.oneof(
  fc.nat(40),
  fc.integer({ min: 4_000, max: 4_200 }),
  fc.nat(FRAME_SIZE_DEFAULT),
);
const frame = fc
  .record({
    type: fc.constantFrom(FrameType.Data, FrameType.Headers, FrameType.Ping),
    flags: fc.constantFrom(0, Flag.EndStream, Flag.Padded, Flag.Padded | Flag.EndStream),
    streamId: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    bytes: size,
    seed: fc.nat(255),
  })
  .map(({ bytes, seed, ...head }) => ({
    ...head,
    payload: Buffer.from(Uint8Array.from({ length: bytes }, (_, at) => (at * 7 + seed) & 0xff)),
  }));

function written({ type, flags, streamId, payload }: Frame): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** What comes out for chunks of these sizes, over and over; pieces of one frame are joined. */
function parsed(bytes: Buffer, sizes: readonly number[]): { frames: Frame[]; isInFrame: boolean } {
  const frames: Frame[] = [];
  let pieces: Buffer[] = [];
  const parser: FrameParser = new FrameParser(FRAME_SIZE_DEFAULT, {
    frame(type, flags, streamId, from, start, end) {
      pieces.push(Buffer.from(from.subarray(start, end)));
      const isWhole = parser.frames > frames.length;
      if (!isWhole) expect([type, flags & Flag.EndStream]).toEqual([FrameType.Data, 0]);
      else {
        frames.push({ type, flags, streamId, payload: Buffer.concat(pieces) });
        pieces = [];
      }
    },
  });
  let at = 0;
  for (let nth = 0; at < bytes.length; nth++) {
    const end = at + (sizes[nth % sizes.length] ?? 1);
    // A chunk is a buffer of its own, and another one's by the next turn.
    const chunk = Buffer.from(bytes.subarray(at, end));
    parser.push(chunk);
    chunk.fill(0xee);
    at = end;
  }
  return { frames, isInFrame: parser.isInFrame };
}

describe('the frames of a connection', () => {
  it('come out as they went in, wherever the chunks are cut', () => {
    const sizes = fc.array(
      fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 70_000 })),
      {
        minLength: 1,
        maxLength: 5,
      },
    );
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), sizes, (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(written));
        expect(parsed(bytes, cuts)).toEqual({ frames, isInFrame: false });
      }),
      { numRuns: 200 },
    );
  });

  it('are midway until their last byte', () => {
    const payload = Buffer.alloc(FRAME_SIZE_DEFAULT, 5);
    const whole = written({ type: FrameType.Data, flags: 0, streamId: 1, payload });
    for (const missing of [1, 100, payload.length, payload.length + 1]) {
      const part = whole.subarray(0, whole.length - missing);
      expect(parsed(part, [part.length]).isInFrame).toBe(true);
    }
  });

  it('that are long are given on as they come, and not waited for', () => {
    const payload = Buffer.alloc(FRAME_SIZE_DEFAULT, 5);
    const whole = written({ type: FrameType.Data, flags: Flag.EndStream, streamId: 1, payload });
    const seen: [flags: number, bytes: number][] = [];
    const parser = new FrameParser(FRAME_SIZE_DEFAULT, {
      frame: (_type, flags, _id, _bytes, from, to) => seen.push([flags, to - from]),
    });
    parser.push(whole.subarray(0, 9));
    parser.push(whole.subarray(9, 109));
    parser.push(whole.subarray(109));
    expect(seen).toEqual([
      [0, 100],
      [Flag.EndStream, FRAME_SIZE_DEFAULT - 100],
    ]);
  });
});
