/** The reader of frames, over all the ways in which a stream of bytes can be cut. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { frame, FRAME, FrameReader } from './frames.js';

function read(chunks: readonly Buffer[]): string[] {
  const seen: string[] = [];
  let data = 0;
  const reader = new FrameReader({
    onData: (stream, bytes) => {
      seen.push(`data ${stream} ${bytes}`);
      data += bytes;
    },
    onFrame: (type, flags, stream, chunk, from, to) => {
      seen.push(`${type} ${flags} ${stream} ${chunk.toString('hex', from, to)}`);
    },
  });
  for (const chunk of chunks) reader.read(chunk);
  return [...seen, `all data ${data}`];
}

const frames = fc.array(
  fc.record({
    type: fc.constantFrom(FRAME.data, FRAME.headers, FRAME.settings, FRAME.ping),
    flags: fc.nat(255),
    stream: fc.nat(2 ** 31 - 1),
    payload: fc.uint8Array({ maxLength: 40 }),
  }),
  { maxLength: 12 },
);

it('reads the same frames however the bytes are cut', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 60 })), (all, cuts) => {
      const bytes = Buffer.concat(
        all.map(({ type, flags, stream, payload }) => frame(type, flags, stream, payload)),
      );
      const chunks: Buffer[] = [];
      let at = 0;
      for (const cut of cuts) {
        chunks.push(bytes.subarray(at, at + cut));
        at += cut;
      }
      chunks.push(bytes.subarray(at));
      expect(read(chunks)).toEqual(read([bytes]));
      expect(read([bytes])).toHaveLength(all.length + 1);
    }),
  );
});

it('refuses a frame that is larger than what was agreed', () => {
  const header = Buffer.from('004001000000000001', 'hex');
  expect(() => read([header])).toThrow('a frame of 16385 bytes');
});
