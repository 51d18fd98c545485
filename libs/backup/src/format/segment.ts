/**
 * An index segment: which chunks of a table there are, up to 64 of them, and behind which others they
 * come.
 *
 * In: what a table writer has put. Out: an object of its own, packed and encrypted like a chunk, since
 * it holds keys. Segments are chained by their hashes: whoever goes on with a run finds by them how
 * far it was.
 */
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  IsArray,
  IsBase64,
  IsBoolean,
  IsHexadecimal,
  IsInt,
  IsString,
  Length,
  Matches,
  Min,
  ValidateNested,
} from 'class-validator';
import { SEGMENT_CHUNKS_MAX } from '../bounds.js';
import { damaged } from '../backup-error.js';
import { checked } from './checked.js';
import { openChunk, type SealedChunk, sealChunk } from './chunk-codec.js';
import { type BackupKey } from './key-ring.js';

export class ChunkEntry {
  @IsString() readonly name!: string;
  @IsHexadecimal() @Length(64, 64) readonly sha256!: string;
  @IsInt() @Min(0) readonly storedBytes!: number;
  @IsInt() @Min(0) readonly plainBytes!: number;
  @IsInt() @Min(0) readonly rows!: number;
  @IsInt() @Min(0) readonly deletedKeys!: number;
  /** Base64. */
  @IsBase64() readonly firstKey!: string;
  @IsBase64() readonly lastKey!: string;
}

export class Segment {
  /** From 1. */
  @IsInt() @Min(1) readonly number!: number;
  /** SHA-256 of the segment before; empty in the first one. */
  @Matches(/^(?:[0-9a-f]{64})?$/) readonly previous!: string;
  @IsInt() @Min(0) readonly epoch!: number;
  @IsInt() @Min(0) readonly revision!: number;
  @IsInt() @Min(0) readonly index!: number;
  @IsInt() @Min(0) readonly sinceRevision!: number;
  @IsString() readonly wholeBecause!: string;
  /** Nothing follows. */
  @IsBoolean() readonly isLast!: boolean;
  @IsArray()
  @ArrayMaxSize(SEGMENT_CHUNKS_MAX)
  @ValidateNested({ each: true })
  @Type(() => ChunkEntry)
  readonly chunks!: readonly ChunkEntry[];
}

interface SegmentPlace {
  readonly backup: string;
  readonly table: number;
}

export function sealSegment(
  segment: Segment,
  { backup, table }: SegmentPlace,
  key: BackupKey | undefined,
): Promise<SealedChunk> {
  return sealChunk(Buffer.from(JSON.stringify(segment)), { backup, table, part: 'segment' }, key);
}

export async function openSegment(
  bytes: Buffer,
  sha256: string,
  { backup, table }: SegmentPlace,
  key: BackupKey | undefined,
  object: string,
): Promise<Segment> {
  const place = { backup, table, part: 'segment' };
  const plain = await openChunk(bytes, sha256, place, key, object);
  let parsed: unknown;
  try {
    parsed = JSON.parse(plain.toString('utf8'));
  } catch (error) {
    throw damaged(object, 'it is no JSON', error);
  }
  if (typeof parsed !== 'object' || parsed === null) throw damaged(object, 'it is no JSON object');
  return checked(Segment, parsed, object);
}
