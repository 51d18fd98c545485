/**
 * What the disk takes at most: as many bytes as a backup has stored, written to one file and synced.
 *
 * In: a number of bytes. Out: megabytes a second. The bytes are random, so nothing below can pack them.
 */
import { randomFillSync } from 'node:crypto';
import { rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '@flotilla/e2e/harness';

const PIECE_BYTES = 8 * 1024 * 1024;

export async function diskMBps(bytes: number): Promise<number> {
  const folder = temporaryFolder('disk-limit');
  const piece = randomFillSync(Buffer.alloc(Math.min(PIECE_BYTES, bytes)));
  try {
    const file = await open(join(folder, 'bytes'), 'wx');
    const startMs = performance.now();
    try {
      for (let left = bytes; left > 0;) {
        const { bytesWritten } = await file.write(piece, 0, Math.min(left, piece.length));
        left -= bytesWritten;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    return bytes / 1e3 / (performance.now() - startMs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
