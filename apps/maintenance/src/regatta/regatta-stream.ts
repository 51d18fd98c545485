/**
 * Rows as Regatta streams them, packed: framed snappy in chunks of 1 MiB at most.
 *
 * In: rows, or chunks. Out: the other. Nothing is gathered beyond one chunk, in memory or on disk.
 */
import { BackupError } from '@flotilla/backup';
import { type RegattaPair, RegattaRecords } from '@flotilla/backup/regatta';
import { GrpcError, SnappyFramedDecoder, SnappyFramedEncoder } from '@flotilla/grpc';

/** Data of one message: what clients of Regatta expect at most. */
export const CHUNK_DATA_BYTES_MAX = 1024 * 1024;

/** Packs plain bytes and cuts what comes out into chunks. */
export class RegattaPacker {
  private readonly encoder = new SnappyFramedEncoder();
  private parts: Buffer[] = [];
  private bytes = 0;

  /** Chunks that are full with these bytes. */
  *push(plain: Uint8Array): Generator<Buffer, void, undefined> {
    this.take(this.encoder.push(plain));
    while (this.bytes >= CHUNK_DATA_BYTES_MAX) yield this.cut();
  }

  *end(): Generator<Buffer, void, undefined> {
    this.take(this.encoder.end());
    while (this.bytes > 0) yield this.cut();
  }

  private take(packed: readonly Buffer[]): void {
    for (const part of packed) {
      this.parts.push(part);
      this.bytes += part.length;
    }
  }

  private cut(): Buffer {
    const whole = Buffer.concat(this.parts);
    const data = whole.subarray(0, CHUNK_DATA_BYTES_MAX);
    const rest = whole.subarray(data.length);
    this.parts = rest.length > 0 ? [rest] : [];
    this.bytes = rest.length;
    return data;
  }
}

/** Pairs of a stream, batch by batch; it ends only where the stream was whole. */
export async function* unpacked(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<readonly RegattaPair[], void, undefined> {
  const decoder = new SnappyFramedDecoder();
  const records = new RegattaRecords(name);
  let isEmpty = true;
  try {
    for await (const chunk of chunks) {
      if (chunk.length === 0) continue;
      isEmpty = false;
      for (const plain of decoder.push(chunk)) {
        const pairs = [...records.push(plain)];
        if (pairs.length > 0) yield pairs;
      }
    }
    // A table without rows is a file without bytes.
    if (!isEmpty) decoder.end();
    records.end();
  } catch (error) {
    if (!(error instanceof GrpcError)) throw error;
    throw new BackupError('BACKUP_DAMAGED', `${name}: ${error.message}`, { cause: error });
  }
}
