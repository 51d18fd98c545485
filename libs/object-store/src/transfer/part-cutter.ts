/**
 * Pieces of any size in, parts of one size out; the last one may be smaller.
 *
 * In: pieces, which are copied. Out: buffers that belong to the reader. One part is held here at a
 * time, and no more memory than its bytes need.
 */
const FIRST_BYTES = 64 * 1024;

export async function* cutParts(
  pieces: AsyncIterable<Uint8Array>,
  partBytes: number,
): AsyncGenerator<Buffer> {
  let part: Buffer = Buffer.allocUnsafe(Math.min(FIRST_BYTES, partBytes));
  let filledBytes = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      const taken = piece.subarray(at, at + partBytes - filledBytes);
      if (filledBytes + taken.length > part.length) {
        part = grown(part, filledBytes, filledBytes + taken.length, partBytes);
      }
      part.set(taken, filledBytes);
      filledBytes += taken.length;
      at += taken.length;
      if (filledBytes < partBytes) continue;
      yield part.subarray(0, filledBytes);
      part = Buffer.allocUnsafe(Math.min(FIRST_BYTES, partBytes));
      filledBytes = 0;
    }
  }
  if (filledBytes > 0) yield part.subarray(0, filledBytes);
}

function grown(part: Buffer, filledBytes: number, needBytes: number, partBytes: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.min(partBytes, Math.max(needBytes, part.length * 2)));
  part.copy(larger, 0, 0, filledBytes);
  return larger;
}
