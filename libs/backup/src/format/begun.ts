/**
 * What a run leaves when it begins: who it is, and what it is about to write. Written again as a sign
 * of life, read by whoever finds a backup without a manifest.
 */
import {
  IsArray,
  IsIn,
  IsInt,
  IsISO8601,
  IsOptional,
  IsString,
  Matches,
  MaxLength,
  Min,
  Equals,
} from 'class-validator';
import { checked } from './checked.js';
import { type BackupKind } from './manifest.js';
import { openJson, sealJson } from './sealed-json.js';

export const BEGUN_FORMAT = 'flotilla.backup.begun/1';
export const BEGUN_BYTES_MAX = 64 * 1024 * 1024;

export class Begun {
  @Equals(BEGUN_FORMAT) readonly format!: string;
  @Matches(/^\d{8}T\d{9}Z-[0-9a-f]{8}$/) readonly id!: string;
  @Matches(/^[0-9a-f]{8}$/) readonly attempt!: string;
  /** Process or place that runs it; the same one may take it over at once. */
  @IsString() @MaxLength(256) readonly runner!: string;
  @IsString() @MaxLength(1024) readonly clusterId!: string;
  @IsISO8601() readonly startedAt!: string;
  @IsIn(['full', 'incremental']) readonly kind!: BackupKind;
  @IsOptional() @IsString() readonly parent!: string | null;
  @IsString() readonly keyId!: string;
  @IsInt() @Min(1) readonly chunkBytes!: number;
  /** Of the lease that it was begun under; none for one that was asked for by hand. */
  @IsOptional() @IsInt() @Min(1) readonly runToken?: number;
  /** Names that were asked for; empty for all. */
  @IsArray() @IsString({ each: true }) readonly tables!: readonly string[];
}

export function encodeBegun(begun: Begun): Buffer {
  return sealJson(begun, undefined);
}

export function decodeBegun(bytes: Buffer, object: string): Begun {
  return checked(
    Begun,
    openJson(bytes, object, () => undefined),
    object,
  );
}
