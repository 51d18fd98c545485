/**
 * Backups in the folder format of Regatta's own tool: written and restored table by table.
 *
 *   maintenance.v1.Backup --> <table>.bak, MD5 --> manifest.json, last
 *   manifest.json, every MD5 checked first --> maintenance.v1.Restore
 *
 * In: a folder, a client. Out: the other. What such a folder cannot tell: revisions, and that all tables
 * are of one moment.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BackupError,
  checkRegattaSum,
  decodeRegattaManifest,
  encodeRegattaManifest,
  REGATTA_MANIFEST,
  regattaFileName,
  type RegattaManifest,
  type RegattaTable,
} from '@flotilla/backup/regatta';
import { maintenanceV1 as v1, replicationV1 } from '@flotilla/proto';
import type { BackupsClient } from './backups-client.js';

const SERVICE = '/maintenance.v1.Maintenance';
const PIECE_BYTES = 1024 * 1024;

export type OnTable = (table: string, bytes: number) => void;

export async function writeRegattaFolder(
  backups: BackupsClient,
  tables: readonly string[],
  folder: string,
  onTable: OnTable,
): Promise<RegattaManifest> {
  // Names are looked at before anything is written.
  const files = tables.map((name) => [name, regattaFileName(name)] as const);
  const started = new Date().toISOString();
  await mkdir(folder, { recursive: true });
  const written: RegattaTable[] = [];
  for (const [name, file] of files) {
    const { bytes, md5 } = await writeTable(backups, name, join(folder, file));
    written.push({ name, file_name: file, md5 });
    onTable(name, bytes);
  }
  const manifest = { started, finished: new Date().toISOString(), tables: written };
  await writeSynced(join(folder, REGATTA_MANIFEST), [encodeRegattaManifest(manifest)]);
  return manifest;
}

export async function restoreRegattaFolder(
  backups: BackupsClient,
  folder: string,
  onTable: OnTable,
): Promise<readonly RegattaTable[]> {
  const name = join(folder, REGATTA_MANIFEST);
  const manifest = decodeRegattaManifest(await readFile(name), name);
  // All of them first: half of a backup is worse than none.
  for (const table of manifest.tables) await checkTable(table, join(folder, table.file_name));
  for (const table of manifest.tables) {
    onTable(table.name, await sendTable(backups, table, join(folder, table.file_name)));
  }
  return manifest.tables;
}

async function writeTable(
  backups: BackupsClient,
  table: string,
  file: string,
): Promise<{ readonly bytes: number; readonly md5: string }> {
  const request = v1.BackupRequest.encode({ table: Buffer.from(table) }).finish();
  const hash = createHash('md5');
  let bytes = 0;
  const pieces = async function* () {
    for await (const message of backups.client.serverStream(`${SERVICE}/Backup`, request)) {
      const { data } = replicationV1.SnapshotChunk.decode(message);
      hash.update(data);
      bytes += data.length;
      yield data;
    }
  };
  try {
    await writeSynced(file, pieces());
  } catch (error) {
    throw backups.errorOf(error);
  }
  return { bytes, md5: hash.digest('hex') };
}

async function writeSynced(
  file: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const handle = await open(file, 'w');
  try {
    for await (const piece of pieces) await handle.writeFile(piece);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function checkTable(table: RegattaTable, file: string): Promise<void> {
  const hash = createHash('md5');
  try {
    for await (const piece of createReadStream(file)) hash.update(piece as Buffer);
  } catch (error) {
    const text = `${table.file_name}: it cannot be read`;
    throw new BackupError('BACKUP_DAMAGED', text, { cause: error });
  }
  checkRegattaSum(table, hash.digest('hex'));
}

async function sendTable(
  backups: BackupsClient,
  table: RegattaTable,
  file: string,
): Promise<number> {
  let bytes = 0;
  const messages = async function* () {
    const info = { table: Buffer.from(table.name) };
    yield v1.RestoreMessage.encode({ data: { $case: 'info', value: info } }).finish();
    for await (const piece of createReadStream(file, { highWaterMark: PIECE_BYTES })) {
      const data = piece as Buffer;
      bytes += data.length;
      const value = { data, len: BigInt(data.length), index: 0n };
      yield v1.RestoreMessage.encode({ data: { $case: 'chunk', value } }).finish();
    }
  };
  try {
    await backups.client.clientStream(`${SERVICE}/Restore`, messages());
  } catch (error) {
    throw backups.errorOf(error);
  }
  return bytes;
}
