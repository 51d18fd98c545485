/**
 * The header of an answer: as its numbers, or as bytes that were made before.
 *
 * A header is the first field of every answer of `regatta.v1.KV`, so its bytes, tag and length
 * included, can be kept for as long as table, node, term and leader stay what they are.
 */
import {
  copyInto,
  filled,
  nestedBytes,
  numberBytes,
  writeNested,
  writeNumber,
} from './wire-writer.js';

export interface HeaderFields {
  /** Raft group of the table. */
  readonly shardId: number;
  /** Node that answers. */
  readonly replicaId: number;
  /** Writes: revision of the write; 0 for reads. */
  readonly revision: number;
  readonly raftTerm: number;
  readonly raftLeaderId: number;
}

/** Numbers, or what `encodeHeader` made of them. No bytes at all stand for no header. */
export type Header = HeaderFields | Uint8Array;

export function encodeHeader(fields: HeaderFields): Buffer {
  const out = Buffer.allocUnsafe(nestedBytes(fieldsBytes(fields)));
  return filled(out, writeFields(out, 0, fields));
}

export function headerBytes(header: Header): number {
  if (header instanceof Uint8Array) return header.length;
  return nestedBytes(fieldsBytes(header));
}

export function writeHeader(out: Buffer, at: number, header: Header): number {
  if (header instanceof Uint8Array) return copyInto(out, at, header);
  return writeFields(out, at, header);
}

function fieldsBytes({
  shardId,
  replicaId,
  revision,
  raftTerm,
  raftLeaderId,
}: HeaderFields): number {
  return (
    numberBytes(shardId) +
    numberBytes(replicaId) +
    numberBytes(revision) +
    numberBytes(raftTerm) +
    numberBytes(raftLeaderId)
  );
}

function writeFields(out: Buffer, from: number, fields: HeaderFields): number {
  let at = writeNested(out, from, 0x0a, fieldsBytes(fields));
  at = writeNumber(out, at, 0x08, fields.shardId);
  at = writeNumber(out, at, 0x10, fields.replicaId);
  at = writeNumber(out, at, 0x18, fields.revision);
  at = writeNumber(out, at, 0x20, fields.raftTerm);
  return writeNumber(out, at, 0x28, fields.raftLeaderId);
}
