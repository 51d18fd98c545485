/**
 * Reads a snapshot as servers of Regatta write and read it: a framed snappy stream of records, each a
 * length of 64 bits and a command. Written from the contract alone, and strict: a length is compared
 * with a bound before it is believed, and a record that is cut short is damage.
 */
import { SnappyFramedDecoder } from '@flotilla/grpc';
import { mvccV1 } from '@flotilla/proto';

const LENGTH_BYTES = 8;
/** What a server of Regatta has room for. */
const RECORD_BYTES_MAX = 4 * 1024 * 1024;

export function readSnapshot(stream: Iterable<Uint8Array>): mvccV1.Command[] {
  const decoder = new SnappyFramedDecoder();
  const commands: mvccV1.Command[] = [];
  let plain: Buffer = Buffer.alloc(0);
  for (const piece of stream) {
    plain = Buffer.concat([plain, ...decoder.push(piece)]);
    let at = 0;
    while (plain.length - at >= LENGTH_BYTES) {
      const length = plain.readBigUInt64LE(at);
      if (length > BigInt(RECORD_BYTES_MAX)) throw new Error(`a record of ${length} bytes`);
      const end = at + LENGTH_BYTES + Number(length);
      if (end > plain.length) break;
      commands.push(mvccV1.Command.decode(plain.subarray(at + LENGTH_BYTES, end)));
      at = end;
    }
    plain = plain.subarray(at);
  }
  decoder.end();
  if (plain.length > 0) throw new Error(`${plain.length} bytes follow the last record`);
  return commands;
}
