/**
 * The manifest: what a backup holds, and that it is complete.
 *
 * In: what the run has written. Out: `manifest.json`, the last object of a backup, and back. A folder
 * without one is no backup. All tables are told by id: a name may mean another one later.
 */
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  Equals,
  IsArray,
  IsHexadecimal,
  IsIn,
  IsISO8601,
  IsInt,
  IsOptional,
  IsString,
  Length,
  Matches,
  Max,
  MaxLength,
  Min,
  ValidateNested,
} from 'class-validator';
import { BackupError } from '../backup-error.js';
import { SEGMENTS_MAX, TABLES_MAX } from '../bounds.js';
import { checked } from './checked.js';
import { type KeyRing } from './key-ring.js';
import { openJson, sealJson } from './sealed-json.js';

export const MANIFEST_FORMAT = 'flotilla.backup/1';
const BACKUP_ID = /^\d{8}T\d{9}Z-[0-9a-f]{8}$/;
const TEXT_MAX = 1_024;

export type BackupKind = 'full' | 'incremental';

/** A count, size, index or revision. */
function Count(min = 0): PropertyDecorator {
  return (target, property) => {
    IsInt()(target, property);
    Min(min)(target, property);
    Max(Number.MAX_SAFE_INTEGER)(target, property);
  };
}

export class SegmentRef {
  @IsString() @MaxLength(TEXT_MAX) readonly name!: string;
  @IsHexadecimal() @Length(64, 64) readonly sha256!: string;
}

export class ManifestTable {
  @IsString() @MaxLength(TEXT_MAX) readonly name!: string;
  @Count(1) readonly tableId!: number;
  @Count() readonly epoch!: number;
  /** The rows are of this revision. */
  @Count() readonly revision!: number;
  /** The log goes on behind this index. */
  @Count() readonly index!: number;
  /** Only what changed after this revision, deleted keys included; 0: everything. */
  @Count() readonly sinceRevision!: number;
  /** Why it is whole in an incremental backup; empty where that needs no reason. */
  @IsString() @MaxLength(TEXT_MAX) readonly wholeBecause!: string;
  @Count() readonly rows!: number;
  @Count() readonly deletedKeys!: number;
  /** Before and after packing. */
  @Count() readonly plainBytes!: number;
  @Count() readonly storedBytes!: number;
  @Count() readonly chunks!: number;
  /** SHA-256 over the SHA-256 of all chunks, in their order. */
  @IsHexadecimal() @Length(64, 64) readonly digest!: string;
  @IsArray()
  @ArrayMaxSize(SEGMENTS_MAX)
  @ValidateNested({ each: true })
  @Type(() => SegmentRef)
  readonly segments!: readonly SegmentRef[];
}

export class Manifest {
  @Equals(MANIFEST_FORMAT) readonly format!: string;
  @Matches(BACKUP_ID) readonly id!: string;
  @IsString() @MaxLength(TEXT_MAX) readonly clusterId!: string;
  @IsIn(['full', 'incremental']) readonly kind!: BackupKind;
  /** What an incremental one adds to. */
  @IsOptional() @Matches(BACKUP_ID) readonly parent!: string | null;
  @IsISO8601() readonly startedAt!: string;
  @IsISO8601() readonly finishedAt!: string;
  /** Key that it is encrypted with; empty for none. */
  @IsString() @MaxLength(64) readonly keyId!: string;
  /** Fencing token of the lease that it was made under; none for one that was asked for by hand. */
  @IsOptional() @Count(1) readonly runToken?: number;
  @IsArray()
  @ArrayMaxSize(TABLES_MAX)
  @ValidateNested({ each: true })
  @Type(() => ManifestTable)
  readonly tables!: readonly ManifestTable[];
  /** Tables that were deleted while the backup was made. */
  @IsArray() @IsString({ each: true }) readonly goneTables!: readonly string[];
}

export function encodeManifest(manifest: Manifest, keys: KeyRing): Buffer {
  const key = manifest.keyId === '' ? undefined : keys.get(manifest.keyId);
  return sealJson(manifest, key);
}

export function decodeManifest(bytes: Buffer, object: string, keys: KeyRing): Manifest {
  const plain = openJson(bytes, object, ({ keyId }) =>
    typeof keyId === 'string' && keyId !== '' ? keys.get(keyId) : undefined,
  );
  const manifest = checked(Manifest, plain, object);
  if ((manifest.kind === 'incremental') !== (manifest.parent !== null)) {
    throw new BackupError('BACKUP_UNREADABLE', `${object}: field parent: it goes with the kind`);
  }
  return manifest;
}

export function findTable(manifest: Manifest, name: string): ManifestTable {
  const table = manifest.tables.find((each) => each.name === name);
  if (table) return table;
  throw new BackupError('INVALID', `table: backup ${manifest.id} has none named ${name}`);
}
