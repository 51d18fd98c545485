/**
 * What makes LMDB without syncs safe: a copy of the head of its file, kept in a file of its own.
 *
 * LMDB never changes a page in place; the two pages at the head of its file say where the trees begin.
 * Without syncs the disk may hold a new head and not the pages it speaks of, and the pages of an
 * older head may have been given away. So a recovery point is a head whose pages are all synced and
 * that a held view keeps from being given away. Whatever else a crash left, opening puts that head
 * back: the store is then as it was at the last recovery point, exactly.
 *
 *   view of the moment held -> head copied -> data synced -> copy put in place, synced
 *                                                        -> view of the point before given back
 *
 * Points are taken by `sync`, at opening and closing, and by the engine after so many pages written.
 * A killed process goes back too, although the file would be whole then: who can tell why a process
 * ended, and whether the disk was there all the time? The Raft log replays what is missing.
 *
 *   recovery.point   magic [8] | bytes of the head, u32 | head | CRC-32C of all before, u32
 *
 * It must never be written before the pages it speaks of are on disk.
 */
import { readSync } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '../../table/crc32c.js';
import { EngineError } from '../engine-error.js';
import { DATA_FILE, type LmdbSnapshot, type LmdbStore, PAGE_BYTES } from './binding.js';

const POINT_FILE = 'recovery.point';
const MAGIC = Buffer.from('FLTLMDB1', 'latin1');
const HEAD_AT = MAGIC.length + 4;
const CHECKSUM_BYTES = 4;
const HEAD_BYTES = 2 * PAGE_BYTES;
/** A store whose process ended while it was being made: nothing was ever written to it. */
const NEW_STORE_BYTES_MAX = 16 * PAGE_BYTES;

/** Brings the file of a store to its last recovery point; before the store is opened. */
export async function recover(directory: string): Promise<void> {
  const data = join(directory, DATA_FILE);
  const dataBytes = await sizeOf(data);
  if (dataBytes === undefined) return;
  const point = await readPoint(directory);
  if (point === undefined) {
    if (dataBytes > NEW_STORE_BYTES_MAX) {
      throw new EngineError('ENGINE_CORRUPTION', `${data} is there without its ${POINT_FILE}`);
    }
    return rm(data);
  }
  const file = await open(data, 'r+');
  try {
    await file.write(headOf(point), 0, HEAD_BYTES, 0);
  } finally {
    await file.close();
  }
}

/** Takes recovery points of an open store, one at a time. */
export class RecoveryPoints {
  private held: LmdbSnapshot | undefined;

  private constructor(
    private readonly store: LmdbStore,
    private readonly directory: string,
    private readonly file: FileHandle,
  ) {}

  /** Of a store that was just opened; a new one gets its first point. */
  static async open(store: LmdbStore, directory: string): Promise<RecoveryPoints> {
    const file = await open(join(directory, DATA_FILE), 'r+');
    const points = new RecoveryPoints(store, directory, file);
    try {
      await points.take();
    } catch (error) {
      await points.close();
      throw error;
    }
    return points;
  }

  /** Resolves when what is committed now survives a power failure. Nothing may be uncommitted. */
  async take(): Promise<void> {
    const view = this.store.useReadTransaction();
    try {
      const head = Buffer.alloc(HEAD_BYTES);
      const bytes = readSync(this.file.fd, head, 0, HEAD_BYTES, 0);
      if (bytes !== HEAD_BYTES)
        throw new EngineError('ENGINE_IO', 'the head of the store is short');
      await this.file.datasync();
      await writePoint(this.directory, head);
    } catch (error) {
      view.done();
      throw error;
    }
    this.held?.done();
    this.held = view;
  }

  /** Lets the view of the last point go; before the store is closed. */
  async close(): Promise<void> {
    this.held?.done();
    this.held = undefined;
    await this.file.close();
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function headOf(point: Buffer): Buffer {
  return point.subarray(HEAD_AT, HEAD_AT + HEAD_BYTES);
}

async function readPoint(directory: string): Promise<Buffer | undefined> {
  const path = join(directory, POINT_FILE);
  let point: Buffer;
  try {
    point = await readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  const end = HEAD_AT + HEAD_BYTES;
  const isWhole =
    point.length === end + CHECKSUM_BYTES &&
    point.subarray(0, MAGIC.length).equals(MAGIC) &&
    point.readUInt32BE(MAGIC.length) === HEAD_BYTES &&
    point.readUInt32BE(end) === crc32c(point.subarray(0, end));
  if (!isWhole) throw new EngineError('ENGINE_CORRUPTION', `${path} is damaged`);
  return point;
}

async function writePoint(directory: string, head: Buffer): Promise<void> {
  const start = Buffer.alloc(HEAD_AT);
  MAGIC.copy(start);
  start.writeUInt32BE(head.length, MAGIC.length);
  const checksum = Buffer.alloc(CHECKSUM_BYTES);
  checksum.writeUInt32BE(crc32c(Buffer.concat([start, head])));
  const path = join(directory, POINT_FILE);
  const next = await open(`${path}.next`, 'w');
  try {
    await next.writeFile(Buffer.concat([start, head, checksum]));
    await next.sync();
  } finally {
    await next.close();
  }
  await rename(`${path}.next`, path);
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
