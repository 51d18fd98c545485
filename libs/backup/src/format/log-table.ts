/**
 * Whose log lies in a folder: `logs/<table id>/table.json`.
 *
 * In: name, id and epoch of a table, and the keys that its log was written with. Out: the object, sealed
 * as manifests are, and back. An object of the log may be without a key only where that is told here: none
 * can be put in the place of an encrypted one.
 */
import { ArrayMaxSize, ArrayMinSize, Equals, IsArray, IsInt, IsString } from 'class-validator';
import { Matches, Max, MaxLength, Min } from 'class-validator';
import { checked } from './checked.js';
import { type KeyRing } from './key-ring.js';
import { openJson, sealJson } from './sealed-json.js';

export const LOG_TABLE_FORMAT = 'flotilla.backup.log/1';
export const LOG_TABLE_BYTES_MAX = 64 * 1024;
/** Keys that one log may have been written with. */
export const LOG_KEYS_MAX = 64;
const TEXT_MAX = 1_024;

export class LogTable {
  @Equals(LOG_TABLE_FORMAT) readonly format!: string;
  @IsString() @MaxLength(TEXT_MAX) readonly clusterId!: string;
  @IsString() @MaxLength(TEXT_MAX) readonly name!: string;
  @IsInt() @Min(1) @Max(Number.MAX_SAFE_INTEGER) readonly tableId!: number;
  /** Where it was shipped last. */
  @IsInt() @Min(0) @Max(Number.MAX_SAFE_INTEGER) readonly epoch!: number;
  /** Ids of keys, the one of what is written now last; the empty one stands for none. */
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(LOG_KEYS_MAX)
  @IsString({ each: true })
  @Matches(/^[A-Za-z0-9._-]{0,64}$/, { each: true })
  readonly keyIds!: readonly string[];
}

export function encodeLogTable(table: LogTable, keys: KeyRing): Buffer {
  return sealJson(table, keyOf(table.keyIds, keys));
}

export function decodeLogTable(bytes: Buffer, object: string, keys: KeyRing): LogTable {
  const plain = openJson(bytes, object, ({ keyIds }) =>
    Array.isArray(keyIds) ? keyOf(keyIds, keys) : undefined,
  );
  return checked(LogTable, plain, object);
}

function keyOf(keyIds: readonly unknown[], keys: KeyRing) {
  const id = keyIds.at(-1);
  return typeof id === 'string' && id !== '' ? keys.get(id) : undefined;
}
