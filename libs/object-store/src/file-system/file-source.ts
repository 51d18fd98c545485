/**
 * The bytes of an open file between two offsets, piece by piece.
 *
 * In: a handle, which is closed here. Out: pieces of at most `PIECE_BYTES`. The file may have lost
 * its name meanwhile: what was opened is read.
 */
import { type FileHandle } from 'node:fs/promises';
import { type PieceSource } from '../transfer/reading.js';

/** What is no larger comes as one piece, which whoever wants it whole need not join. */
const PIECE_BYTES = 8 * 1024 * 1024;

export function fileSource(file: FileHandle, start: number, end: number): PieceSource {
  let at = start;
  return {
    read: async () => {
      if (at >= end) return undefined;
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - at));
      const { bytesRead } = await file.read(piece, 0, piece.length, at);
      if (bytesRead === 0) return undefined;
      at += bytesRead;
      return piece.subarray(0, bytesRead);
    },
    close: () => file.close(),
  };
}
