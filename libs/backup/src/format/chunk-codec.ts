/**
 * A chunk as an object: packed, and encrypted where a key is named.
 *
 *   magic "FLBK" (4)  version (1)  flags (1)  0 (2)  plain bytes (4)  | payload
 *   payload of an encrypted one: nonce (12), ciphertext, tag (16)
 *
 * In: plain bytes and where they belong. Out: an object with its SHA-256, and back. The header and the
 * place (backup, table, number) are authenticated with the ciphertext: chunks cannot change places.
 */
import {
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  createHash,
  randomBytes,
} from 'node:crypto';
import { damaged } from '../backup-error.js';
import { CHUNK_PLAIN_BYTES_MAX } from '../bounds.js';
import { type BackupKey } from './key-ring.js';
import { packZstd, unpackZstd } from './zstd-frame.js';

const MAGIC = Buffer.from('FLBK');
const VERSION = 1;
const HEAD_BYTES = 12;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const PACKED = 1;
const ENCRYPTED = 2;
const CIPHER = 'aes-256-gcm';

/** Where a chunk belongs. */
export interface ChunkPlace {
  readonly backup: string;
  readonly table: number;
  /** Which one it is, counted from 1: `chunk 7`, `segment 1`. */
  readonly part: string;
}

export interface SealedChunk {
  readonly bytes: Buffer;
  readonly sha256: string;
}

export async function sealChunk(
  plain: Buffer,
  place: ChunkPlace,
  key: BackupKey | undefined,
): Promise<SealedChunk> {
  const head = Buffer.alloc(HEAD_BYTES);
  MAGIC.copy(head);
  head.writeUInt8(VERSION, 4);
  head.writeUInt8(PACKED | (key ? ENCRYPTED : 0), 5);
  head.writeUInt32LE(plain.length, 8);
  const sealing = key && new Sealing(head, place, key);
  const parts: Buffer[] = sealing ? [head, sealing.nonce] : [head];
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  const add = (part: Buffer) => {
    hash.update(part);
    parts.push(part);
  };
  // Piece by piece all the way: none of it keeps the thread for long.
  for await (const frame of packZstd(plain)) add(sealing ? sealing.update(frame) : frame);
  if (sealing) add(sealing.finish());
  return { bytes: Buffer.concat(parts), sha256: hash.digest('hex') };
}

/** Throws `BACKUP_DAMAGED` that names the object and the chunk. */
export async function openChunk(
  bytes: Buffer,
  sha256: string,
  place: ChunkPlace,
  key: BackupKey | undefined,
  object: string,
): Promise<Buffer> {
  const wrong = (what: string, cause?: unknown) =>
    damaged(object, `${place.part} of table ${place.table}: ${what}`, cause);
  if (sha256Of(bytes) !== sha256) throw wrong('its SHA-256 is another one');
  if (bytes.length < HEAD_BYTES || !bytes.subarray(0, 4).equals(MAGIC)) {
    throw wrong('it is not a chunk');
  }
  if (bytes.readUInt8(4) !== VERSION) throw wrong(`its version is ${bytes.readUInt8(4)}`);
  const flags = bytes.readUInt8(5);
  if (flags !== (PACKED | (key ? ENCRYPTED : 0))) throw wrong(`its flags are ${flags}`);
  const plainBytes = bytes.readUInt32LE(8);
  if (plainBytes > CHUNK_PLAIN_BYTES_MAX) throw wrong(`it claims ${plainBytes} bytes`);
  try {
    const packed = key ? decrypt(bytes, place, key) : bytes.subarray(HEAD_BYTES);
    return await unpackZstd(packed, plainBytes);
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error), error);
  }
}

/** Whether it says that it is; what does not open is told by `openChunk`. */
export function isEncrypted(bytes: Buffer): boolean {
  return bytes.length >= HEAD_BYTES && (bytes.readUInt8(5) & ENCRYPTED) !== 0;
}

export function sha256Of(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Encrypts what comes in pieces; the tag is the last one. */
class Sealing {
  readonly nonce = randomBytes(NONCE_BYTES);
  private readonly cipher: CipherGCM;

  constructor(head: Buffer, place: ChunkPlace, key: BackupKey) {
    this.cipher = createCipheriv(CIPHER, key.secret, this.nonce);
    this.cipher.setAAD(Buffer.concat([head, placeBytes(place)]));
  }

  update(packed: Buffer): Buffer {
    return this.cipher.update(packed);
  }

  finish(): Buffer {
    return Buffer.concat([this.cipher.final(), this.cipher.getAuthTag()]);
  }
}

function decrypt(bytes: Buffer, place: ChunkPlace, key: BackupKey): Buffer {
  if (bytes.length < HEAD_BYTES + NONCE_BYTES + TAG_BYTES) throw new Error('it is cut short');
  const head = bytes.subarray(0, HEAD_BYTES);
  const nonce = bytes.subarray(HEAD_BYTES, HEAD_BYTES + NONCE_BYTES);
  const decipher = createDecipheriv(CIPHER, key.secret, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.concat([head, placeBytes(place)]));
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
  const text = bytes.subarray(HEAD_BYTES + NONCE_BYTES, bytes.length - TAG_BYTES);
  try {
    return Buffer.concat([decipher.update(text), decipher.final()]);
  } catch (error) {
    throw new Error('it cannot be decrypted with this key, or belongs elsewhere', { cause: error });
  }
}

function placeBytes({ backup, table, part }: ChunkPlace): Buffer {
  return Buffer.from(`${backup}/${table}/${part}`);
}
