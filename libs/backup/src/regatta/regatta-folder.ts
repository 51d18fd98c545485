/**
 * A backup as Regatta's tool leaves it: a folder with `manifest.json` and a file for each table.
 *
 * In: the manifest of a folder, or what was written to one. Out: the other. Names of files come from
 * outside: only plain ones are taken, so that nothing outside of the folder is read or written.
 */
import {
  ArrayMaxSize,
  IsArray,
  IsISO8601,
  IsIn,
  IsOptional,
  IsString,
  MaxLength,
  MinLength,
  ValidateNested,
} from 'class-validator';
import { Type } from 'class-transformer';
import { BackupError, damaged } from '../backup-error.js';
import { TABLES_MAX } from '../bounds.js';
import { checked } from '../format/checked.js';

export const REGATTA_MANIFEST = 'manifest.json';
export const REGATTA_MANIFEST_BYTES_MAX = 64 * 1024 * 1024;
const NAME_MAX = 255;

export class RegattaTable {
  @IsString() @MinLength(1) @MaxLength(NAME_MAX) readonly name!: string;
  /** Only older ones have it. */
  @IsOptional() @IsIn(['REPLICATED', 'LOCAL']) readonly type?: string;
  @IsString() @MinLength(1) @MaxLength(NAME_MAX) readonly file_name!: string;
  /** As hex. Compared as text: what is no MD5 is not that of the file. */
  @IsString() @MaxLength(NAME_MAX) readonly md5!: string;
}

export class RegattaManifest {
  @IsISO8601() readonly started!: string;
  @IsISO8601() readonly finished!: string;
  @IsArray()
  @ArrayMaxSize(TABLES_MAX)
  @ValidateNested({ each: true })
  @Type(() => RegattaTable)
  readonly tables!: readonly RegattaTable[];
}

/** @param object what it is called in errors */
export function decodeRegattaManifest(bytes: Buffer, object: string): RegattaManifest {
  let parsed: unknown;
  try {
    parsed = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw damaged(object, 'it is no JSON', error);
  }
  if (typeof parsed !== 'object' || parsed === null) throw damaged(object, 'it is no JSON object');
  const manifest = checked(RegattaManifest, parsed, object);
  for (const { file_name: file } of manifest.tables) {
    if (isPlainName(file)) continue;
    throw new BackupError('INVALID', `${object}: file_name: ${JSON.stringify(file)} is no name`);
  }
  return manifest;
}

export function encodeRegattaManifest(manifest: RegattaManifest): Buffer {
  return Buffer.from(JSON.stringify(manifest));
}

/** File that a table is written to. Regatta takes the name as it is; what leaves the folder is refused. */
export function regattaFileName(table: string): string {
  const name = `${table}.bak`;
  if (isPlainName(name)) return name;
  throw new BackupError('INVALID', `table: ${JSON.stringify(table)} cannot be the name of a file`);
}

/** Throws if the file is not the one that the manifest speaks of. */
export function checkRegattaSum(table: RegattaTable, md5Hex: string): void {
  if (table.md5 === md5Hex) return;
  throw damaged(table.file_name, `its MD5 is ${md5Hex}, and ${table.md5} in the manifest`);
}

function isPlainName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\\\0]/.test(name);
}
