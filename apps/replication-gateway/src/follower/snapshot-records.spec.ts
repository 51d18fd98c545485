/** Snapshots as servers of Regatta stream them, whole and damaged. */
import { SnappyFramedEncoder } from '@flotilla/grpc';
import { hot, mvccV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { RECORD_BYTES_MAX, SnapshotRecords } from './snapshot-records.js';

const TABLE = Buffer.from('orders');
const pair = (key: string, value: string) =>
  hot.encodeSnapshotPair(TABLE, Buffer.from(key), Buffer.from(value));
const END = hot.encodeSnapshotEnd(TABLE, 77);

function packed(plain: readonly Uint8Array[]): Buffer {
  const encoder = new SnappyFramedEncoder();
  return Buffer.concat([...plain.flatMap((bytes) => encoder.push(bytes)), ...encoder.end()]);
}

function read(stream: Buffer, pieceBytes = stream.length) {
  const records = new SnapshotRecords();
  const pairs: string[] = [];
  for (let at = 0; at < stream.length; at += pieceBytes) {
    for (const { key, value } of records.push(stream.subarray(at, at + pieceBytes))) {
      pairs.push(`${key.toString()}=${value.toString()}`);
    }
  }
  return { pairs, index: records.end() };
}

describe('a snapshot', () => {
  it('gives every pair once and the index it stands for, however it is cut (defects B1, B2)', () => {
    const values = Array.from({ length: 300 }, (_, nth) => [`key ${nth}`, 'v'.repeat(nth * 3)]);
    const stream = packed([...values.map(([key = '', value = '']) => pair(key, value)), END]);
    const whole = values.map(([key, value]) => `${key}=${value}`);
    for (const pieceBytes of [7, 1_000, 65_536, stream.length]) {
      expect(read(stream, pieceBytes)).toEqual({ pairs: whole, index: 77 });
    }
  });

  it('of an empty table is the closing record alone', () => {
    expect(read(packed([END]))).toEqual({ pairs: [], index: 77 });
  });

  it('that was cut short is not taken for a whole one', () => {
    expect(() => read(packed([pair('a', 'b')]))).toThrow('the record that closes');
    expect(() => read(packed([pair('a', 'b'), END.subarray(0, 9)]))).toThrow('follow the last');
    const stream = packed([pair('a', 'b'), END]);
    expect(() => read(stream.subarray(0, -1))).toThrow();
  });

  it('goes not on after its closing record', () => {
    expect(() => read(packed([END, pair('a', 'b')]))).toThrow('follows the closing one');
  });

  it('with a length beyond the bound is refused before anything of it is kept (defect B20)', () => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(RECORD_BYTES_MAX) + 1n);
    expect(() => read(packed([length]))).toThrow(`a record of ${RECORD_BYTES_MAX + 1} bytes`);
  });

  it('holds pairs alone', () => {
    const type = mvccV1.Command_CommandType.TXN;
    const command = mvccV1.Command.encode(mvccV1.Command.fromPartial({ table: TABLE, type }));
    const bytes = command.finish();
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    expect(() => read(packed([length, bytes, END]))).toThrow(`type ${type}`);
  });
});
